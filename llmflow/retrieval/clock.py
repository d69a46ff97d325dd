"""Milliseconds per stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from llmflow.tracing import Tracer
from llmflow.tracing.observation import Observation


class Clock:
    """Times stages; each is also an observation of the trace."""

    def __init__(self, tracer: Tracer) -> None:
        self._timings: dict[str, float] = {}
        self._tracer = tracer

    @property
    def timings(self) -> dict[str, float]:
        """Milliseconds by stage, as far as stages have ended; one that ends later changes nothing in it."""
        return self._timings.copy()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[Observation]:
        start = time.perf_counter()
        with self._tracer.observe(f"retrieve.{stage}") as observation:
            yield observation
        self._timings[stage] = (time.perf_counter() - start) * 1000
