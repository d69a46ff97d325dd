"""Where observations go: the local file, and a Langfuse server where keys are set.

This module loads OpenTelemetry, and the Langfuse SDK where keys are set;
:mod:`llmflow.tracing.tracer` loads it late.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from llmflow.schema import Scope
from llmflow.settings import TracingSettings
from llmflow.tracing.exporter import LocalExporter

if TYPE_CHECKING:
    from langfuse import Langfuse

_INTERVAL_S = 1.0
_QUEUE = 16_384
_WAIT_S = 5.0
# A span that is full loses its first attributes, which say whose it is.
_LIMITS = SpanLimits(max_span_attributes=SpanLimits.UNSET, max_span_attribute_length=SpanLimits.UNSET)
_logger = logging.getLogger(__name__)


class Sinks:
    """An OpenTelemetry provider, wired to a local file and perhaps to a Langfuse server.

    The provider is ours alone: a program that LLMFlow runs in keeps its own.
    """

    def __init__(self, settings: TracingSettings, file: sqlite3.Connection) -> None:
        self._server = settings.base_url.rstrip("/")
        self._exporter = LocalExporter(file, settings.keep_days)
        self._local = BatchSpanProcessor(self._exporter, _QUEUE, _INTERVAL_S * 1000)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource({"service.name": "llmflow"}),
            shutdown_on_exit=False,
            span_limits=_LIMITS,
        )
        self._provider.add_span_processor(self._local)
        self._langfuse: Langfuse | None = None
        if settings.public_key is not None and settings.secret_key is not None:
            from llmflow.tracing.server import connect

            self._langfuse = connect(
                self._server, settings.public_key, settings.secret_key.get_secret_value(), self._provider
            )
        self.tracer = self._provider.get_tracer("llmflow")

    def score(self, scope: Scope, trace_id: str, name: str, value: float, own: bool) -> bool:
        """Give a trace a score, in every sink; False where the scope has no such trace."""
        if not self._exporter.score(scope, trace_id, name, value, own):
            # It may have ended just now.
            self._local.force_flush()
            if not self._exporter.score(scope, trace_id, name, value, own):
                return False
        if self._langfuse is not None:
            self._langfuse.create_score(trace_id=trace_id.lower(), name=name, value=value)
        return True

    def flush(self, local: bool) -> None:
        """Write what has ended into the local file and, unless ``local``, to the server; waits 5 s at most for that."""
        self._local.force_flush()
        if self._langfuse is not None and not local:
            self._within_time(self._langfuse.flush)

    def close(self) -> None:
        """Write what is left, and close; waits 5 s at most."""
        self._local.force_flush()
        self._within_time(self._shut_down)

    def _shut_down(self) -> None:
        if self._langfuse is not None:
            self._langfuse.shutdown()
        self._provider.shutdown()

    def _within_time(self, work: Callable[[], None]) -> None:
        # The SDK tries a dead server again and again; nobody should wait for that.
        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        worker.join(_WAIT_S)
        if worker.is_alive():
            _logger.warning(
                "Langfuse at %s does not take the latest observations; the local traces have them", self._server
            )
