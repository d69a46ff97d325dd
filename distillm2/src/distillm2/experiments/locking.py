"""One command at a time in an output folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distillm2.errors import DistillationError


@contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Hold ``folder``, which is made if need be, for a ``what`` (loop, sweep).

    :raises DistillationError: when another process holds it
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise DistillationError(f"{folder}: a {what} is running there; wait for it or take another --output") from error
    try:
        yield
    finally:
        lock.release()
