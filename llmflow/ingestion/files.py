"""Finding the files to ingest."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from llmflow.errors import InvalidInputError


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Files named, and files below the folders named, each once, sorted within a folder.

    Hidden files and folders below a named folder are left out; links to folders are not
    followed. A folder that cannot be listed stands for its files, so that it is not passed
    over in silence.

    Raises:
        InvalidInputError: a path does not exist.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise InvalidInputError(f"{path} does not exist; name files or folders", param=str(path))
        for file in _below(path) if path.is_dir() else [path]:
            # Path.resolve would stop at a link that leads to itself.
            found[Path(os.path.realpath(file))] = None
    return list(found)


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal.

    Raises:
        OSError: it cannot be read, or is no regular file (reading a pipe would wait for ever).
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _below(folder: Path) -> Iterator[Path]:
    unlisted: list[Path] = []
    for at, folders, names in os.walk(folder, onerror=lambda error: unlisted.append(Path(error.filename))):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(at) / name for name in sorted(names) if not name.startswith("."))
    yield from unlisted
