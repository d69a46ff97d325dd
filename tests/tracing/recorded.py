"""Traces made, and read back."""

from __future__ import annotations

from pathlib import Path

from llmflow.schema import Scope
from llmflow.tracing import LocalTraces, Trace, Tracer, TraceSummary

SCOPE = Scope("회사", ("인사",))


def recent(path: Path, limit: int = 20) -> tuple[TraceSummary, ...]:
    return LocalTraces(path).recent(SCOPE, limit)


def only_trace(tracer: Tracer, path: Path) -> Trace:
    tracer.flush()
    (summary,) = recent(path)
    return LocalTraces(path).get(SCOPE, summary.trace_id)


def make(tracer: Tracer, name: str) -> str:
    with tracer.acting(SCOPE), tracer.observe(name) as step:
        assert step.trace_id is not None
        return step.trace_id
