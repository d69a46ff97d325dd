"""This process as a worker: its name, its signs of life, and who is dead."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from llmflow.stores.liveness import Liveness
from llmflow.stores.queue import JobQueue, Lease

_log = logging.getLogger(__name__)


class Worker:
    """Holds leases on jobs and renews them in a thread, from the first lease taken until :meth:`close`.

    Args:
        folder: shared with the other processes of this machine.
        seconds: how long a lease lasts without a sign of life.
    """

    def __init__(self, queue: JobQueue, folder: Path, seconds: float) -> None:
        self._queue = queue
        self._liveness = Liveness(folder)
        self._scratch = folder / "scratch"
        self._remove_left()
        self._lease = Lease(self._liveness.worker, seconds)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._held: set[str] = set()
        self._thread: threading.Thread | None = None

    @property
    def lease(self) -> Lease:
        """A lease of this process."""
        return self._lease

    def scratch(self) -> AbstractContextManager[str]:
        """A folder for a file under work, gone afterwards; what a killed process leaves is gone once another starts."""
        own = self._scratch / self._liveness.worker
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=own)

    @contextmanager
    def holding(self, job_id: str) -> Iterator[None]:
        """Renew the lease on a job while it is worked on."""
        with self._lock:
            self._held.add(job_id)
            if self._thread is None:
                self._thread = threading.Thread(target=self._renew, name="leases", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(job_id)

    def dead(self) -> frozenset[str]:
        """Workers that hold leases and are known to be gone."""
        return self._liveness.dead(self._queue.workers())

    def close(self) -> None:
        """No more signs of life: whatever was not finished is free at once."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(self._lease.seconds)
        shutil.rmtree(self._scratch / self._liveness.worker, ignore_errors=True)
        self._liveness.close()

    def _remove_left(self) -> None:
        """Originals lie in there as they came, personal data and all."""
        left = [path.name for path in self._scratch.iterdir()] if self._scratch.is_dir() else []
        for worker in self._liveness.dead(left):
            shutil.rmtree(self._scratch / worker, ignore_errors=True)

    def _renew(self) -> None:
        while not self._stop.wait(self._lease.seconds / 3):
            with self._lock:
                held = frozenset(self._held)
            try:
                self._queue.renew(self._lease, held)
            except Exception as error:  # the database may be away for a while
                _log.warning("leases could not be renewed: %s", error)
