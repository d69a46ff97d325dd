"""A step under way, as those who make it see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from llmflow.tracing import attributes
from llmflow.tracing.words import Words, as_given

if TYPE_CHECKING:
    from opentelemetry.trace import Span

ObservationKind = Literal[
    "span", "agent", "tool", "chain", "retriever", "evaluator", "guardrail", "generation", "embedding"
]
"""Langfuse's types of observation."""


class Observation:
    """A step under way. ``trace_id`` is None where nothing is recorded."""

    def __init__(self, span: Span | None = None, words: Words = as_given) -> None:
        self._span = span
        self._words = words
        self.trace_id: str | None = None if span is None else format(span.get_span_context().trace_id, "032x")

    def update(
        self,
        *,
        output: Any = None,
        metadata: dict[str, Any] | None = None,
        warning: str | None = None,
        model: str | None = None,
        usage: dict[str, int] | None = None,
    ) -> None:
        """Add what became known, already masked but for ``warning``.

        Args:
            output: what the step made; anything JSON can hold.
            metadata: further values by name.
            warning: why the step did less than it should (a degradation).
            model: the model's name (generations and embeddings).
            usage: tokens by kind, as the endpoint counts them (generations and embeddings).
        """
        if self._span is None:
            return
        values = attributes.of_metadata(metadata or {})
        if output is not None:
            values[attributes.OUTPUT] = attributes.as_text(output)
        if warning is not None:
            values |= {attributes.LEVEL: "WARNING", attributes.MESSAGE: self._words(warning)}
        if model is not None:
            values[attributes.MODEL] = attributes.encodable(model)
        if usage is not None:
            values[attributes.USAGE] = attributes.as_json(usage)
        self._span.set_attributes(values)
