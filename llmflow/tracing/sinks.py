"""Where observations go: the local file, and a Langfuse server where keys are set.

This module loads the SDK, which takes a while; :mod:`llmflow.tracing.tracer` does so late.
"""

from __future__ import annotations

import base64
import logging
import sqlite3
import threading
import uuid
from collections.abc import Callable
from typing import Any

import httpx
from langfuse import Langfuse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from llmflow.settings import TracingSettings
from llmflow.tracing.exporter import LocalExporter
from llmflow.tracing.local import encodable

_INTERVAL_S = 1.0
_REQUEST_TIMEOUT_S = 3
_WAIT_S = 5.0
_logger = logging.getLogger(__name__)


class Sinks:
    """The SDK's client, wired to a local file and perhaps to a server.

    The OpenTelemetry provider is ours alone: a program that LLMFlow runs in keeps its own.
    """

    def __init__(self, settings: TracingSettings, file: sqlite3.Connection) -> None:
        self._server = settings.base_url.rstrip("/")
        self._local = LocalExporter(file, settings.keep_days)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource({"service.name": "llmflow"}), shutdown_on_exit=False
        )
        # The SDK keeps one client per public key and process, settings and all. A name of our own keeps
        # this one apart from any other; the server sees the real keys, in the headers.
        name = f"llmflow-{uuid.uuid4().hex}"
        self._sends = False
        if settings.public_key is not None and settings.secret_key is not None:
            self._sends = True
            keys = (settings.public_key, settings.secret_key.get_secret_value())
            self._provider.add_span_processor(BatchSpanProcessor(self._local, schedule_delay_millis=_INTERVAL_S * 1000))
            self.client = Langfuse(
                public_key=name,
                secret_key=keys[1],
                base_url=self._server,
                timeout=_REQUEST_TIMEOUT_S,
                flush_interval=_INTERVAL_S,
                tracer_provider=self._provider,
                mask=_encodable,
                httpx_client=httpx.Client(auth=keys, timeout=_REQUEST_TIMEOUT_S),
                additional_headers={
                    "Authorization": "Basic " + base64.b64encode(":".join(keys).encode()).decode(),
                    "x-langfuse-public-key": keys[0],
                },
            )
        else:
            self.client = Langfuse(
                public_key=name,
                secret_key=name,
                flush_interval=_INTERVAL_S,
                tracer_provider=self._provider,
                mask=_encodable,
                span_exporter=self._local,
                httpx_client=httpx.Client(transport=_NoNetwork()),
            )

    def score(self, trace_id: str, name: str, value: float) -> None:
        """Give a trace a score, in every sink."""
        self._local.score(trace_id, name, value)
        if self._sends:
            self.client.create_score(trace_id=trace_id, name=name, value=value)

    def flush(self) -> None:
        """Write what has ended, the local file first; waits 5 s at most."""
        self._within_time(self.client.flush)

    def close(self) -> None:
        """Write what is left, and close; waits 5 s at most."""
        self._within_time(self._shut_down)

    def _shut_down(self) -> None:
        self.client.shutdown()
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


def _encodable(*, data: Any, **_: Any) -> Any:
    # The SDK offers this hook for hiding values; it is the one place that sees all of them.
    if isinstance(data, str):
        return encodable(data)
    if isinstance(data, dict):
        return {key: _encodable(data=value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_encodable(data=value) for value in data]
    return data


class _NoNetwork(httpx.BaseTransport):
    """Answers every request with a refusal: without keys, nothing leaves this machine."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(403, request=request)
