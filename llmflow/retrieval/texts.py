"""Ranking of any texts for a question: fusion and models of the pipeline, without its index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from llmflow.errors import UpstreamError
from llmflow.korean import AnalyzedText, analyze, normalize
from llmflow.models.embedder import Embedder, EmbedderInput
from llmflow.models.sparse import encode
from llmflow.retrieval.analysis import analyze_query
from llmflow.retrieval.clock import Clock
from llmflow.retrieval.fusion import fuse
from llmflow.retrieval.head import DIVERSIFY, Asked, HeadStages
from llmflow.retrieval.legs import DENSE, embedding_legs, lexical_legs
from llmflow.retrieval.running import LegRunner
from llmflow.schema import Candidate, Chunk, Degradation, RerankMode, Scope
from llmflow.settings import RetrievalSettings
from llmflow.stores.index import SearchIndex
from llmflow.stores.vectors import ChunkRow
from llmflow.tracing import Tracer

_NOWHERE = Scope("texts", ("texts",))


@dataclass(frozen=True, slots=True)
class TextRanking:
    """Positions of the texts, best first, each with its score in [0, 1], and which stages failed."""

    order: tuple[int, ...]
    scores: tuple[float, ...]
    degradations: tuple[Degradation, ...]


class TextRanker:
    """Ranks texts that are in no store.

    Without a model they are ranked by words and, where there is one, by the embedder; how rare a
    word is, is counted among the texts themselves.
    """

    def __init__(
        self, embedder: Callable[[], Embedder | None], head: HeadStages, settings: RetrievalSettings, tracer: Tracer
    ) -> None:
        self._embedder = embedder
        self._head = head
        self._settings = settings.model_copy(update={"document_weight": 0.0})
        self._tracer = tracer
        self._legs = LegRunner(settings.leg_timeout_s)

    def rank(self, tenant: str, question: str, texts: Sequence[str], mode: RerankMode | None = None) -> TextRanking:
        """Rank up to ``retrieval.depth`` texts.

        Args:
            mode: as in :meth:`llmflow.retrieval.pipeline.Retriever.retrieve`.

        Raises:
            InvalidInputError: the question is empty or too long, or the model is not configured.
        """
        stages = [replace(stage, depth=len(texts)) for stage in self._head.plan(mode) if stage.name != DIVERSIFY]
        clock = Clock(self._tracer)
        with self._tracer.observe("rank", kind="retriever") as trace:
            analyzed = analyze_query(question)
            embedder = self._embedder()
            rows, degradations = self._rows(texts, embedder)
            view = SearchIndex(rows).view(_NOWHERE)
            legs = lexical_legs(view, analyzed.text, self._settings)
            if embedder and not degradations:
                legs |= embedding_legs(view, analyzed, embedder, self._settings)
            scores, failed = self._legs.run(legs, clock)
            fused = fuse(scores, view, self._settings)
            found = fused.order.tolist()
            rest = sorted(set(range(len(texts))) - set(found))
            candidates = [
                Candidate(rows[row].chunk, float(fused.scores[row]), fused.stages(row)) for row in (*found, *rest)
            ]
            candidates, broken = self._head.run(Asked(tenant, analyzed.query.text), candidates, stages, clock)
            order = tuple(item.chunk.ordinal for item in candidates)
            trace.update(output=order)
            scored = tuple(item.score for item in candidates)
            return TextRanking(order, scored, (*degradations, *failed, *broken))

    def close(self) -> None:
        """Stop the threads of the legs."""
        self._legs.close()

    def _rows(self, texts: Sequence[str], embedder: Embedder | None) -> tuple[list[ChunkRow], list[Degradation]]:
        """The texts as rows of an index; without vectors where the embedder failed."""
        encoded = [encode(AnalyzedText(tuple(body)), self._settings) for body in analyze(map(normalize, texts))]
        vectors = np.zeros((len(texts), 1), np.float32)
        degradations = []
        if embedder and texts:
            inputs = [EmbedderInput(text, each.chunk) for text, each in zip(texts, encoded, strict=True)]
            try:
                vectors = embedder.documents(inputs).dense
            except UpstreamError as error:
                degradations.append(Degradation(DENSE, f"{type(error).__name__}: {error}"))
        rows = []
        for number, (text, each, vector) in enumerate(zip(texts, encoded, vectors, strict=True)):
            chunk = Chunk(str(number), str(number), _NOWHERE.tenant, _NOWHERE.departments[0], number, text, "", "")
            rows.append(ChunkRow(chunk, each.chunk, each.passages, vector))
        return rows, degradations
