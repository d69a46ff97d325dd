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
        self.timings: dict[str, float] = {}
        self._tracer = tracer

    @contextmanager
    def __call__(self, stage: str) -> Iterator[Observation]:
        start = time.perf_counter()
        with self._tracer.observe(f"retrieve.{stage}") as observation:
            yield observation
        self.timings[stage] = (time.perf_counter() - start) * 1000
