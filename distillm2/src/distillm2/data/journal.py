"""An append-only JSONL file that survives a kill: its first line holds the settings, each further one a record."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillm2.errors import DistillationError

HEADER = "settings"


@dataclass(frozen=True)
class Journal:
    """An open journal.

    ``records`` are those of earlier runs, ``repaired`` says whether a last line torn by a kill was removed.
    """

    path: Path
    records: list[dict[str, Any]]
    repaired: bool
    descriptor: int

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a record in one call to the system, so that a kill of this process can tear the last line only."""
        line = memoryview(_line(record))
        while line:
            line = line[os.write(self.descriptor, line) :]


@contextmanager
def open_journal(path: Path, settings: Mapping[str, Any], *, restart: bool = False) -> Iterator[Journal]:
    """Open or start the journal at ``path``; ``restart`` sets an existing one aside as ``<path>.old``.

    Raises:
        DistillationError: it was written with other settings (each is named with both values), another process
            writes to it, or it is no journal.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if restart and path.exists():
        path.replace(path.with_name(path.name + ".old"))
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DistillationError(
                f"Another process writes to {path}: wait for it, or name another output."
            ) from error
        repaired = _repair(path, descriptor)
        header, records = read_journal(path)
        if header is None:
            os.write(descriptor, _line({HEADER: settings}))
        else:
            _same_settings(path, header, settings)
        yield Journal(path, records, repaired, descriptor)
    finally:
        os.close(descriptor)


def read_journal(path: Path) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The settings of the journal (none when it is empty) and its records; a torn last line is left out."""
    header: dict[str, Any] | None = None
    records: list[dict[str, Any]] = []
    whole_lines = path.read_bytes().split(b"\n")[:-1]
    for number, line in enumerate(whole_lines, 1):
        try:
            value = json.loads(line)
        except ValueError as error:
            raise DistillationError(
                f"{path}:{number} is not JSON: mend or delete the line, or use --restart."
            ) from error
        if number == 1:
            if not isinstance(value, dict) or not isinstance(value.get(HEADER), dict):
                raise DistillationError(f"{path} was not written by distillm2: use --restart or name another --output.")
            header = value[HEADER]
        else:
            records.append(value)
    return header, records


def is_header(value: Any) -> bool:
    """Whether a line of a journal is its first, which holds the settings."""
    return isinstance(value, dict) and value.keys() == {HEADER}


def _repair(path: Path, descriptor: int) -> bool:
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole == len(content):
        return False
    os.ftruncate(descriptor, whole)
    return True


def _same_settings(path: Path, written: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    different = [
        f"{name} was {written.get(name)!r}, now {wanted.get(name)!r}"
        for name in sorted({*written, *wanted})
        if written.get(name) != wanted.get(name)
    ]
    if different:
        raise DistillationError(
            f"{path} was written with other settings: {'; '.join(different)}. "
            "Give the former ones to go on, name another --output, or use --restart to begin again."
        )


def _line(value: Mapping[str, Any]) -> bytes:
    # Lone surrogates, which a server may send as \ud800 escapes, stay escapes.
    text = json.dumps(value, ensure_ascii=False)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(value).encode() + b"\n"
