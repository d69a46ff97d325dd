"""Which process owns the vector store of a data folder, and where it can be asked.

One process at a time: Milvus Lite allows no second one, and the search index lives in memory.
The lock goes with the process, however it ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from llmflow.errors import StoreHeldError

_FILE = "owner.json"
_LOOKS, _LOOK_S = 10, 0.05


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that owns the stores; ``url`` is None where it serves nobody."""

    pid: int
    url: str | None


class Ownership:
    """This process as the owner.

    Raises:
        StoreHeldError: another process is.
    """

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._file = (data_dir / _FILE).open("a+")
        for _ in range(_LOOKS):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # held, or somebody looks who holds it
                time.sleep(_LOOK_S)
        else:
            owner = _read(self._file.fileno())
            self._file.close()
            who = f"process {owner.pid}" if owner else "another process"
            if owner and owner.url:
                who += f", a server at {owner.url}"
            raise StoreHeldError(
                f"the stores in {data_dir} are held by {who}; wait for it to end or stop it",
                param="data_dir",
            )
        self.announce(None)

    def announce(self, url: str | None) -> None:
        """Tell others where this process can be asked."""
        self._file.truncate(0)
        self._file.write(json.dumps({"pid": os.getpid(), "url": url}))
        self._file.flush()

    def release(self) -> None:
        """Own them no more."""
        self._file.truncate(0)
        self._file.close()


def owner_of(data_dir: Path) -> Owner | None:
    """The process that owns the stores now, or None."""
    try:
        with (data_dir / _FILE).open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _read(file.fileno())
    except FileNotFoundError:
        pass
    return None


def _read(descriptor: int) -> Owner | None:
    content = os.pread(descriptor, 4096, 0)
    return Owner(**json.loads(content)) if content else None
