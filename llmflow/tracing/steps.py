"""Makes observations: OpenTelemetry spans with Langfuse's attributes.

The Langfuse SDK's own wrapper around a span costs as much again as the span, for media and
prompts that are not used here. This module loads OpenTelemetry; :mod:`llmflow.tracing.tracer`
loads it late.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import Token
from pathlib import Path
from types import TracebackType

from opentelemetry.context import Context, attach, create_key, detach, get_current, set_value
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from llmflow.errors import LLMFlowError
from llmflow.schema import Scope
from llmflow.tracing import attributes
from llmflow.tracing.observation import Observation
from llmflow.tracing.words import Words

_MARKS = create_key("llmflow-scope")
_propagator = TraceContextTextMapPropagator()


class Step(AbstractContextManager[Observation]):
    """An observation, from entering to leaving; it bears the marks of the scope it is made for."""

    __slots__ = ("_name", "_span", "_token", "_tracer", "_values", "_words")
    _span: Span
    _token: Token[Context]

    def __init__(self, tracer: Tracer, name: str, values: dict[str, str], words: Words) -> None:
        self._tracer = tracer
        self._name = name
        self._values = values
        self._words = words

    def __enter__(self) -> Observation:
        context = get_current()
        marks = context.get(_MARKS)
        if isinstance(marks, Mapping):
            self._values.update(marks)
        # Exceptions are described below; OpenTelemetry would record them with text and stack.
        span = self._tracer.start_span(
            self._name, context, attributes=self._values, record_exception=False, set_status_on_exception=False
        )
        if isinstance(span, ReadableSpan) and span.parent is not None and span.parent.is_remote:
            span.set_attribute(attributes.AS_ROOT, True)
        self._span = span
        self._token = attach(set_span_in_context(span, context))
        return Observation(span, self._words)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            message = self._describe(error)
            self._span.set_attributes({attributes.LEVEL: "ERROR", attributes.MESSAGE: message})
            self._span.set_status(Status(StatusCode.ERROR, message))
        detach(self._token)
        self._span.end()

    def _describe(self, error: BaseException) -> str:
        if isinstance(error, LLMFlowError):
            return self._words(f"{error.code}: {error.message}")
        frames = traceback.extract_tb(error.__traceback__)
        place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        return attributes.encodable(f"{type(error).__name__}{place}")


class Acting(AbstractContextManager[None]):
    """Marks the steps made within it with a scope, and perhaps puts them under a caller's trace."""

    __slots__ = ("_scope", "_token", "_traceparent")
    _token: Token[Context]

    def __init__(self, scope: Scope, traceparent: str | None) -> None:
        self._scope = scope
        self._traceparent = traceparent

    def __enter__(self) -> None:
        context = set_value(_MARKS, attributes.of_scope(self._scope))
        if self._traceparent is not None:
            context = _propagator.extract({"traceparent": self._traceparent}, context)
        self._token = attach(context)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        detach(self._token)
