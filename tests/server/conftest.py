"""A server over the sample documents, for the tests of its routes.

``server_runtime`` and ``app`` are shared by the whole session: tests may add documents of other
tenants, and leave those of the tenant ``samples`` as they are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from llmflow.runtime import Runtime
from llmflow.schema import Role, Scope
from llmflow.server.app import create_app
from llmflow.settings import Settings

SAMPLES = Path(__file__).parent.parent.parent / "samples" / "documents"
TENANT = "samples"
DOCUMENTS = {"인사": ("재택근무규정.md", "복리후생.csv"), "보안": ("it_security_faq.md", "공지_출장비_2024.txt")}

MakeKey = Callable[..., str]
"""``key(role, tenant, departments)``: the text of a new key; by default a reader of all sample documents."""


@pytest.fixture(scope="session")
def server_runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """A runtime in which four sample documents are ingested, in the departments 인사 and 보안."""
    settings = Settings.model_validate({
        "data_dir": tmp_path_factory.mktemp("server") / "data",
        "parsing": {"ocr": "off"},
        "auth": {"requests_per_minute": 1_000_000, "burst": 1_000_000},
    })  # fmt: skip
    with Runtime(settings) as runtime:
        for department, names in DOCUMENTS.items():
            scope = Scope(TENANT, (department,))
            for outcome in runtime.ingest(scope, department, [SAMPLES / name for name in names]):
                assert outcome.document.status == "ready", outcome.document
        yield runtime


@pytest.fixture(scope="session")
def app(server_runtime: Runtime) -> FastAPI:
    return create_app(server_runtime)


@pytest.fixture(scope="session")
def key(server_runtime: Runtime) -> MakeKey:
    def make(
        role: Role | str = Role.READER, tenant: str = TENANT, departments: Sequence[str] = tuple(DOCUMENTS)
    ) -> str:
        return server_runtime.keys.create(tenant, departments, Role(role))[0]

    return make


@pytest.fixture(scope="session")
def live(app: FastAPI) -> Iterator[str]:
    """The address of the application, served by uvicorn."""
    with serving(app) as url:
        yield url


@pytest.fixture(scope="session")
def client(live: str, key: MakeKey) -> Iterator[httpx.Client]:
    """A client of the live server with a reader's key."""
    with httpx.Client(base_url=live, headers={"Authorization": f"Bearer {key()}"}, timeout=30) as client:
        yield client


class serving:  # noqa: N801 (used like a function)
    """Serve an application from a thread while the context lasts."""

    def __init__(self, app: FastAPI) -> None:
        self.server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False))
        self._thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        while not self.server.started:
            assert self._thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive(), "the server did not stop"
