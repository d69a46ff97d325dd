"""Traces: every step of a query and of an ingestion, as Langfuse observations.

They are kept in a local SQLite file and, where keys are set, sent to a Langfuse server too.
Each is made for a scope, and only scopes that may read all of its departments see it.
"""

from __future__ import annotations

from llmflow.tracing.contexts import in_current_trace, in_own_context
from llmflow.tracing.local import LocalTraces, Score, Trace, TraceNode, TraceSummary
from llmflow.tracing.observation import Observation, ObservationKind
from llmflow.tracing.tracer import Tracer

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
    "in_own_context",
]
