"""This process as a worker: its name, its signs of life, and who is dead."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
        self._lease = Lease(self._liveness.worker, seconds)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._held: set[str] = set()
        self._thread: threading.Thread | None = None

    @property
    def lease(self) -> Lease:
        """A lease of this process."""
        return self._lease

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
            self._thread.join()
        self._liveness.close()

    def _renew(self) -> None:
        while not self._stop.wait(self._lease.seconds / 3):
            with self._lock:
                held = frozenset(self._held)
            try:
                self._queue.renew(self._lease, held)
            except Exception as error:  # the database may be away for a while
                _log.warning("leases could not be renewed: %s", error)
