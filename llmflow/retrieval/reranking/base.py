"""What a reranker gives, whatever its method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Cost:
    """What a reranking took: calls answered, tokens as the server counted them, and labels not returned."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    missing: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Reranking:
    """Passages in a new order.

    Attributes:
        order: positions of all passages as they were given, the best first.
        scores: of each passage as they were given, calibrated to [0, 1] and never rising along
            ``order``; None where the method gives only an order.
        confidence: how far the first passage is ahead, as a difference of probabilities in [0, 1]
            (each method says between what); None where it gives no probabilities.
        missing: labels the server did not return a probability for, or did not write.
        requests, prompt_tokens, completion_tokens: what it took; all 0 where it was cached.
    """

    order: tuple[int, ...]
    scores: tuple[float, ...] | None
    confidence: float | None
    missing: int
    requests: int
    prompt_tokens: int
    completion_tokens: int

    @classmethod
    def of(
        cls, order: Sequence[int], cost: Cost, scores: Sequence[float] | None = None, confidence: float | None = None
    ) -> Self:
        """A reranking that took ``cost``."""
        return cls(
            tuple(order),
            None if scores is None else tuple(scores),
            confidence,
            cost.missing,
            cost.requests,
            cost.prompt_tokens,
            cost.completion_tokens,
        )


class Reranker(Protocol):
    """Orders passages by what they say to a question."""

    @property
    def name(self) -> str:
        """The method: listwise, pointwise, setwise or permutation."""

    @property
    def version(self) -> str:
        """The served model or adapter."""

    def check(self, deadline: float) -> None:
        """Whether the served model can be asked in this way.

        Raises:
            ConfigurationError: a label is not exactly one token of its tokenizer.
            DeadlineError, UpstreamError: as :meth:`rerank`.
        """

    def rerank(self, query: str, passages: Sequence[str], deadline: float) -> Reranking:
        """Order ``passages`` (any number); equals stay in their order, but in a heap (setwise).

        Args:
            deadline: ``time.monotonic()`` at which the order must be there.

        Raises:
            DeadlineError: it was not there.
            UpstreamError: the server failed or gave nothing to go by.
            ConfigurationError: as :meth:`check`, where the server could not be asked before.
        """
