"""Runs legs side by side; one that fails or is late is left out and named."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from llmflow.retrieval.clock import Clock
from llmflow.retrieval.legs import Leg
from llmflow.schema import Degradation
from llmflow.stores.index import LegScores
from llmflow.tracing import in_current_trace

_THREADS = 16
"""More than the legs of a question: one that hangs must not hold up the next question's."""


class LegRunner:
    """Threads for legs.

    Args:
        timeout_s: seconds after which a leg is left out.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="leg")

    def run(self, plan: Mapping[str, Leg], clock: Clock) -> tuple[dict[str, LegScores], list[Degradation]]:
        """The scores of the legs that answered in time, and what became of the others."""

        def timed(name: str, leg: Leg) -> LegScores:
            with clock(name):
                return leg()

        deadline = time.monotonic() + self._timeout_s
        running = {name: self._threads.submit(in_current_trace(timed), name, leg) for name, leg in plan.items()}
        scores, degradations = {}, []
        for name, future in running.items():
            try:
                scores[name] = future.result(max(deadline - time.monotonic(), 0))
            except TimeoutError:
                future.cancel()
                reason = f"gave no answer within retrieval.leg_timeout_s={self._timeout_s:g} s"
                degradations.append(Degradation(name, reason))
            except Exception as error:  # whatever breaks one leg must not break the query
                degradations.append(Degradation(name, f"{type(error).__name__}: {error}"))
        return scores, degradations

    def close(self) -> None:
        """Stop the threads; a leg that still runs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
