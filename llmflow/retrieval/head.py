"""The head of the fused list, ordered anew: cross-encoder, then LLM, then diversity.

How many candidates a stage looks at is its own setting, never ``top_k``: asking for more does
not change the order of the first. A stage that fails or misses its deadline leaves the order
before it, and says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from llmflow.errors import InvalidInputError
from llmflow.models.embedder import document_text
from llmflow.retrieval.clock import Clock
from llmflow.retrieval.diversity import diversify
from llmflow.schema import Candidate, Degradation, RerankMode, StageNote, StageScore
from llmflow.settings import Settings

if TYPE_CHECKING:
    from llmflow.models.cross_encoder import CrossEncoder
    from llmflow.retrieval.reranking.cache import CachedReranker

CROSS_ENCODER, RERANK, DIVERSIFY = "cross_encoder", "rerank", "diversify"
_DIVERSE = 50
"""Candidates whose differences are looked at."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and whose it is."""

    tenant: str
    question: str


@dataclass(frozen=True, slots=True)
class HeadStage:
    """A stage and how many candidates it looks at."""

    name: str
    depth: int
    apply: Callable[[Asked, Sequence[Candidate], Clock], list[Candidate]]


class HeadStages:
    """The stages that read passages, as far as there are any.

    Args:
        cross_encoder: scores question and passage together; None without one.
        reranker: the LLM; None without one.
    """

    def __init__(self, cross_encoder: CrossEncoder | None, reranker: CachedReranker | None, settings: Settings) -> None:
        self._cross_encoder = cross_encoder
        self._reranker = reranker
        self._settings = settings

    def plan(self, mode: RerankMode | None) -> list[HeadStage]:
        """The stages of a search, in their order.

        Args:
            mode: the only model to rerank with; None for all there are.

        Raises:
            InvalidInputError: the model is not configured.
        """
        models: dict[RerankMode, HeadStage] = {}
        if self._cross_encoder is not None:
            models["cross_encoder"] = HeadStage(CROSS_ENCODER, self._settings.cross_encoder.depth, self._score)
        if self._reranker is not None:
            models["llm"] = HeadStage(RERANK, self._settings.reranker.depth, self._rerank)
        if mode not in (None, "none", *models):
            raise InvalidInputError(
                f"rerank is {mode!r}; allowed here: {', '.join(['none', *models])}. The settings"
                " cross_encoder.provider and reranker.method make the others available",
                param="rerank",
            )
        stages = [stage for name, stage in models.items() if mode in (None, name)]
        if self._settings.retrieval.diversity > 0:
            stages.append(HeadStage(DIVERSIFY, _DIVERSE, self._diversify))
        return stages

    def run(
        self, asked: Asked, candidates: list[Candidate], stages: Sequence[HeadStage], clock: Clock
    ) -> tuple[list[Candidate], list[Degradation]]:
        """Candidates in the order of the stages, and which stages failed."""
        degradations: list[Degradation] = []
        for stage in stages:
            head, rest = candidates[: stage.depth], candidates[stage.depth :]
            if len(head) < 2:
                continue
            try:
                head = stage.apply(asked, head, clock)
            except Exception as error:  # whatever breaks a stage must not break the query
                reason = f"{type(error).__name__}: {error}; the order before it stands"
                degradations.append(Degradation(stage.name, reason))
            candidates = [*head, *capped(rest, head)]
        return candidates, degradations

    def _score(self, asked: Asked, candidates: Sequence[Candidate], clock: Clock) -> list[Candidate]:
        assert self._cross_encoder is not None
        deadline = time.monotonic() + self._settings.cross_encoder.deadline_s
        with clock(CROSS_ENCODER) as step:
            texts = [document_text(item.chunk) for item in candidates]
            scores = self._cross_encoder.scores(asked.question, texts, deadline)
            step.update(metadata={"model": self._cross_encoder.version})
        return _by_score(CROSS_ENCODER, candidates, scores.tolist())

    def _rerank(self, asked: Asked, candidates: Sequence[Candidate], clock: Clock) -> list[Candidate]:
        assert self._reranker is not None
        deadline = time.monotonic() + self._settings.reranker.deadline_s
        with clock(RERANK) as step:
            passages = [document_text(item.chunk) for item in candidates]
            found = self._reranker.rerank(asked.tenant, asked.question, passages, deadline)
            step.update(
                output=[candidates[at].chunk.id for at in found.order],
                metadata={
                    "method": self._reranker.name,
                    "model": self._reranker.version,
                    "permutation": found.order,
                    "confidence": found.confidence,
                    "labels_not_returned": found.missing,
                    "requests": found.requests,
                    "prompt_tokens": found.prompt_tokens,
                    "completion_tokens": found.completion_tokens,
                },
            )
        scores = found.scores or _handed_on(found.order, [item.score for item in candidates])
        note = StageNote(RERANK, f"{self._reranker.name} by {self._reranker.version}")
        ranked = _by_score(RERANK, candidates, scores, found.order)
        return [replace(item, notes=(*item.notes, note)) for item in ranked]

    def _diversify(self, _asked: Asked, candidates: Sequence[Candidate], clock: Clock) -> list[Candidate]:
        with clock(DIVERSIFY):
            order = diversify(candidates, self._settings.retrieval.diversity)
        return _by_score(DIVERSIFY, candidates, [item.score for item in candidates], order)


def capped(rest: Iterable[Candidate], head: Sequence[Candidate]) -> Iterator[Candidate]:
    """Candidates behind a head that was scored anew: none may score above it."""
    ceiling = min((item.score for item in head), default=1.0)
    return (replace(item, score=min(item.score, ceiling)) for item in rest)


def _by_score(
    stage: str, candidates: Sequence[Candidate], scores: Sequence[float], order: Sequence[int] | None = None
) -> list[Candidate]:
    """Candidates with a stage's scores, in its order: by falling score unless it names another."""
    if order is None:
        order = np.argsort(-np.asarray(scores), kind="stable").tolist()
    return [
        replace(
            candidates[at],
            score=float(scores[at]),
            stages=(*candidates[at].stages, StageScore(stage, rank, float(scores[at]))),
        )
        for rank, at in enumerate(order, 1)
    ]


def _handed_on(order: Sequence[int], scores: Sequence[float]) -> list[float]:
    """Scores for an order that has none: those there were, the highest to the first."""
    result = [0.0] * len(scores)
    for at, score in zip(order, sorted(scores, reverse=True), strict=True):
        result[at] = score
    return result
