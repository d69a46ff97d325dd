"""Sets in a dataset folder of LLaMA-Factory: a file of rows, and its entry in ``dataset_info.json``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from llmflow.errors import InvalidInputError

ALPACA: Final[dict[str, Any]] = {
    "columns": {"prompt": "instruction", "query": "input", "response": "output", "system": "system"}
}
"""The entry of a set of prompts with one answer each, beside its file's name."""


def read_info(info: Path, files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """The entries of a ``dataset_info.json``; none where there is no file.

    Args:
        files: what is to be registered: files by the names of their sets.

    Raises:
        InvalidInputError: the file is not of that form, or has an entry of such a name for another file.
    """
    found: dict[str, dict[str, Any]] = {}
    try:
        found = json.loads(info.read_text(encoding="utf-8")) if info.is_file() else {}
        problem = "" if isinstance(found, dict) and all(isinstance(entry, dict) for entry in found.values()) else "form"
    except ValueError as error:
        problem = str(error)
    if problem:
        raise InvalidInputError(
            f'{info} is not {{"name": {{"file_name": ...}}, ...}} ({problem}); mend it, or name another with --info'
        )
    for name, out in files.items():
        if found.get(name, {}).get("file_name", _at(out, info)) != _at(out, info):
            raise InvalidInputError(f"{info} has an entry {name!r} for another file than {out}; choose another --name")
    return found


def write_dataset(
    rows: Sequence[Mapping[str, str]], out: Path, info: Path, name: str, entry: Mapping[str, Any] = ALPACA
) -> None:
    """Write the rows and register them; other entries stay.

    Without rows the set is taken out, so that none of an earlier run remains.

    Raises:
        InvalidInputError: as :func:`read_info`.
    """
    registered = read_info(info, {name: out})
    if rows:
        registered[name] = {"file_name": _at(out, info), **entry}
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        _write(out, f"[\n{lines}\n]\n")
    elif registered.pop(name, None) is not None:
        out.unlink(missing_ok=True)
    _write(info, f"{json.dumps(registered, ensure_ascii=False, indent=2)}\n")


def _at(out: Path, info: Path) -> str:
    return os.path.relpath(out, info.parent)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
