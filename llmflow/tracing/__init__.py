"""Traces: every step of a query and of an ingestion, as Langfuse observations.

They are kept in a local SQLite file and, where keys are set, sent to a Langfuse server too.
"""

from __future__ import annotations

from llmflow.tracing.local import LocalTraces, Score, Trace, TraceNode, TraceSummary
from llmflow.tracing.tracer import Observation, ObservationKind, Tracer, in_current_trace

__all__ = [
    "LocalTraces",
    "Observation",
    "ObservationKind",
    "Score",
    "Trace",
    "TraceNode",
    "TraceSummary",
    "Tracer",
    "in_current_trace",
]
