"""Runs legs side by side; one that fails or is late is left out and named."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from llmflow.retrieval.clock import Clock
from llmflow.schema import Degradation
from llmflow.tracing import in_current_trace

T = TypeVar("T")

_THREADS = 4
"""Of each leg. A leg that hangs must not hold up others, so none shares its threads."""


class LegRunner:
    """Threads for legs.

    Args:
        timeout_s: seconds after which a leg is left out.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._hanging: Counter[str] = Counter()

    def run(self, plan: Mapping[str, Callable[[], T]], clock: Clock) -> tuple[dict[str, T], list[Degradation]]:
        """What the legs that answered in time gave, and what became of the others.

        A leg all of whose threads hang in earlier questions is left out at once.
        """
        deadline = time.monotonic() + self._timeout_s
        running: dict[str, Future[T]] = {}
        found: dict[str, T] = {}
        degradations: list[Degradation] = []
        for name, leg in plan.items():
            if self._hanging[name] < _THREADS:
                running[name] = self._pool(name).submit(in_current_trace(self._timed), name, leg, clock)
            else:
                reason = f"left out: {_THREADS} earlier runs gave no answer yet; look at what it asks"
                degradations.append(Degradation(name, reason))
        for name, future in running.items():
            try:
                found[name] = future.result(max(deadline - time.monotonic(), 0))
            except TimeoutError:
                if not future.done():
                    self._give_up(name, future)
                    reason = f"gave no answer within retrieval.leg_timeout_s={self._timeout_s:g} s"
                    degradations.append(Degradation(name, reason))
                    continue
                degradations.append(Degradation(name, f"TimeoutError: {future.exception()}"))
            except Exception as error:  # whatever breaks one leg must not break the query
                degradations.append(Degradation(name, f"{type(error).__name__}: {error}"))
        return found, degradations

    def close(self) -> None:
        """Stop the threads; a leg that still runs ends by itself."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _timed(name: str, leg: Callable[[], T], clock: Clock) -> T:
        with clock(name):
            return leg()

    def _pool(self, name: str) -> ThreadPoolExecutor:
        with self._lock:
            if name not in self._pools:
                self._pools[name] = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"leg-{name}")
            return self._pools[name]

    def _give_up(self, name: str, future: Future[T]) -> None:
        """Stop waiting; a run that began is counted until it ends."""
        if not future.cancel():
            with self._lock:
                self._hanging[name] += 1
            future.add_done_callback(lambda _: self._came_back(name))

    def _came_back(self, name: str) -> None:
        with self._lock:
            self._hanging[name] -= 1
