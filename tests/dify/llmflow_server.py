"""A real ``llmflow serve`` process over sample documents, for plugins to talk to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import READY, Process, command, environment, running

SAMPLES = Path(__file__).parents[2] / "samples" / "documents"
DOCUMENTS = {
    "인사": ("휴가규정.pdf", "재택근무규정.md", "복리후생.csv", "employee_handbook.pdf"),
    "보안": ("it_security_faq.md", "공지_출장비_2024.txt"),
}


@dataclass
class LLMFlowServer:
    """The server's address, and keys for it."""

    url: str
    process: Process
    env: dict[str, str]
    folder: Path
    _keys: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)

    def key(self, role: str = "editor", departments: Sequence[str] = tuple(DOCUMENTS)) -> str:
        """A key of that role for those departments; the same one each time."""
        wanted = (role, tuple(departments))
        if wanted not in self._keys:
            words = ("keys", "create", "--role", role, "--departments", ",".join(departments), "--json")
            made = command(self.env, self.folder, *words)
            assert made.returncode == 0, made.stderr
            self._keys[wanted] = json.loads(made.stdout)["key"]
        return self._keys[wanted]

    def credentials(self, role: str = "editor", language: str = "ko", **others: Any) -> dict[str, Any]:
        """The credentials a Dify administrator would type in."""
        return {"base_url": self.url, "api_key": self.key(role), "language": language, "timeout_s": "60", **others}


@contextmanager
def llmflow_server(folder: Path, **settings: str) -> Iterator[LLMFlowServer]:
    """A server on the embedded default over ``DOCUMENTS``, its data in ``folder``.

    Args:
        settings: further settings by their variable's name without ``LLMFLOW_``, e.g. ``LLM__BASE_URL``.
    """
    env = environment(folder / "data", **{"PII__ENABLED": "true", "GRAPH__EXTRACTION": "rules", **settings})
    for department, names in DOCUMENTS.items():
        paths = [str(SAMPLES / name) for name in names]
        ingested = command(env, folder, "ingest", "--department", department, *paths)
        assert ingested.returncode == 0, ingested.stderr
    with running(env, folder, "serve") as process:
        yield LLMFlowServer(process.wait_for(READY).split(READY)[1].split()[0].rstrip("/"), process, env, folder)
