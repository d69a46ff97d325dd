"""Which processes on this machine are alive: each holds a lock on a file of its own.

The operating system drops the lock with the process, however it ends, so a killed process is
known to be dead at once, and a process id used anew is not mistaken for it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
import threading
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_taking = threading.Lock()


class Liveness:
    """This process among those that work on the same data.

    Args:
        folder: where the files are; made if absent.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # The folder is in the name: of processes that share a host name but no folder, nothing is known.
        self._here = f"{socket.gethostname()[:100]}.{_mark(folder)}."
        self.worker = f"{self._here}{os.getpid()}.{uuid.uuid4().hex[:8]}"
        self._file = (folder / self.worker).open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def dead(self, workers: Iterable[str]) -> frozenset[str]:
        """Those of ``workers`` that ran here and are gone; of others nothing is known."""
        return frozenset(worker for worker in workers if worker.startswith(self._here) and self._is_gone(worker))

    def close(self) -> None:
        """Take the file away and let the lock go."""
        with suppress(FileNotFoundError):
            (self._folder / self.worker).unlink()
        self._file.close()

    def _is_gone(self, worker: str) -> bool:
        if worker == self.worker:
            return False
        # Two threads of one process that look at once must not take each other for the owner.
        with _taking:
            try:
                with (self._folder / worker).open("r+") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    (self._folder / worker).unlink(missing_ok=True)
            except FileNotFoundError:
                return True
            except BlockingIOError:
                return False
            return True


def _mark(folder: Path) -> str:
    """What tells this folder from any other, whatever its path."""
    mark = folder / ".id"
    with suppress(FileExistsError), tempfile.NamedTemporaryFile("w", dir=folder) as file:
        file.write(uuid.uuid4().hex[:8])
        file.flush()
        os.link(file.name, mark)  # whole, and by one process
    return mark.read_text()
