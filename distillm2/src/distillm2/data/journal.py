"""An append-only JSONL file that survives a kill: its first line holds the settings, each further one a record."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any

from distillm2.errors import DistillationError

HEADER = "settings"


@dataclass(frozen=True)
class Journal:
    """An open journal.

    ``records`` are those of earlier runs, ``repaired`` says whether a last line torn by a kill was removed.
    """

    path: Path
    settings: Mapping[str, Any]
    records: list[dict[str, Any]]
    repaired: bool
    descriptor: int

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a record in one call to the system, so that a kill of this process can tear the last line only."""
        line = _line(record)
        if os.fstat(self.descriptor).st_size == 0:
            line = _line({HEADER: self.settings}) + line
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]


@contextmanager
def open_journal(
    path: Path, settings: Mapping[str, Any], readable: Callable[[Any], bool], *, restart: bool = False
) -> Iterator[Journal]:
    """Open or start the journal at ``path``, which holds nothing before its first record.

    Args:
        readable: whether a line's value is a record that the caller can go on from.
        restart: begin anew; a journal with any answer is set aside.

    Raises:
        DistillationError: it was written with other settings (each is named with both values), has lines that cannot
            be read, another process writes to it, or it is another file; nothing is changed then.
    """
    with ExitStack() as held:
        descriptor = _locked(path, held)
        *lines, torn = path.read_bytes().split(b"\n")
        written = _settings(path, lines, torn, settings)
        if restart:
            if any(_may_be_answer(line) for line in [*lines[1:], torn] if line):
                set_aside(path)
                descriptor = _locked(path, held)
            os.ftruncate(descriptor, 0)
            yield Journal(path, settings, [], False, descriptor)
            return
        if written is not None:
            _same_settings(path, written, settings)
        records = _records(path, lines[1:], readable)
        if torn:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - len(torn))
        yield Journal(path, settings, records, bool(torn), descriptor)


def is_header(value: Any) -> bool:
    """Whether a line of a journal is its first, which holds the settings."""
    return isinstance(value, dict) and value.keys() == {HEADER}


def has_fields(value: Any, **kinds: type | UnionType) -> bool:
    """Whether the value is an object with fields of these kinds."""
    return isinstance(value, dict) and all(name in value and isinstance(value[name], kinds[name]) for name in kinds)


def set_aside(path: Path) -> None:
    """Rename the file to ``<path>.old``, or to ``.old.2`` and so on, so that none set aside before is lost."""
    names = itertools.chain([".old"], (f".old.{number}" for number in itertools.count(2)))
    free = (aside for name in names if not (aside := path.with_name(path.name + name)).exists())
    path.rename(next(free))


def _locked(path: Path, held: ExitStack) -> int:
    """The file, made if need be and locked until ``held`` is left."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise DistillationError(f"{path} cannot be written ({error.strerror}): name another --output.") from error
    held.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DistillationError(f"Another process writes to {path}: wait for it, or name another output.") from error
    return descriptor


def _settings(path: Path, lines: Sequence[bytes], torn: bytes, settings: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The settings in the first line; none when there is nothing, or only a part of what we would write there."""
    if lines:
        header = _parsed(lines[0])
        if is_header(header) and isinstance(header[HEADER], dict):
            return dict(header[HEADER])
    elif _line({HEADER: settings}).startswith(torn):
        return None
    raise DistillationError(f"{path} was not written by this command and stays as it is: name another --output.")


def _records(path: Path, lines: Sequence[bytes], readable: Callable[[Any], bool]) -> list[dict[str, Any]]:
    records = [_parsed(line) for line in lines]
    for number, record in enumerate(records, 2):
        if not readable(record):
            wrong = "is not JSON" if record is None else "is no record of this command"
            raise DistillationError(f"{path}:{number} {wrong}: mend or delete the line, or use --restart.")
    return records


def _parsed(line: bytes) -> Any:
    """The line's value; None when it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _may_be_answer(line: bytes) -> bool:
    record = _parsed(line)
    return not isinstance(record, dict) or "error" not in record


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
    # Lone surrogates, which file names may hold, stay escapes.
    text = json.dumps(value, ensure_ascii=False)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(value).encode() + b"\n"
