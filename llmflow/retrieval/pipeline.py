"""The retrieval pipeline: analyse -> legs in parallel -> fuse -> deduplicate -> gate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from llmflow.errors import InvalidInputError
from llmflow.models.static_embedder import StaticEmbedder
from llmflow.retrieval.analysis import AnalyzedQuery, analyze_query
from llmflow.retrieval.deduplication import deduplicate
from llmflow.retrieval.fusion import Fused, fuse
from llmflow.retrieval.legs import DENSE, REFERENCE, Leg, dense_leg, lexical_legs, reference_leg
from llmflow.schema import Candidate, Degradation, RetrievalResult, Scope
from llmflow.settings import RetrievalSettings
from llmflow.stores.index import LegScores, SearchIndex, View
from llmflow.stores.vectors import VectorStore
from llmflow.tracing import Tracer, in_current_trace

MAX_TOP_K = 1000
_SPARE = 15
"""Chunks read beyond those asked for, to take the place of duplicates."""


class Retriever:
    """From a question to ranked candidates.

    Args:
        index: the rows to search.
        store: where the candidates' chunks are read from.
        embedder: gives the embedder of the stored vectors, None while there is none.
    """

    def __init__(
        self,
        index: SearchIndex,
        store: VectorStore,
        embedder: Callable[[], StaticEmbedder | None],
        settings: RetrievalSettings,
        tracer: Tracer,
    ) -> None:
        self._index = index
        self._store = store
        self._embedder = embedder
        self._settings = settings
        self._tracer = tracer
        self._legs = ThreadPoolExecutor(max_workers=4, thread_name_prefix="leg")

    def retrieve(
        self,
        scope: Scope,
        question: str,
        top_k: int | None = None,
        threshold: float | None = None,
        documents: frozenset[str] | None = None,
    ) -> RetrievalResult:
        """The best candidates for a question, best first.

        Args:
            top_k: how many at most, 1 to 1,000; default from the settings. It never changes
                the order of the head.
            threshold: least score, 0 to 1; default from the settings. 0 lets all pass.
            documents: ids of the only documents looked into; None for all of the scope. Others are
                left out before anything is counted, so that they never shorten the result.

        Raises:
            InvalidInputError: the question or a number is outside what is allowed.
        """
        top_k = self._settings.top_k if top_k is None else top_k
        threshold = self._settings.threshold if threshold is None else threshold
        if not 1 <= top_k <= MAX_TOP_K:
            raise InvalidInputError(f"top_k is {top_k}; allowed are 1 to {MAX_TOP_K}", param="top_k")
        if not 0 <= threshold <= 1:
            raise InvalidInputError(f"threshold is {threshold}; allowed are 0 to 1", param="threshold")
        clock = _Clock(self._tracer)
        with self._tracer.observe("retrieve", kind="retriever", top_k=top_k, threshold=threshold) as trace:
            with clock("analyze"):
                analyzed = analyze_query(question)
            view = self._index.view(scope)
            with clock("legs"):
                scores, degradations = self._run(self.plan(view, analyzed), clock)
            with clock("fuse"):
                allowed = None if documents is None else view.of_documents(documents)
                fused = fuse(scores, view, self._settings, allowed)
            with clock("select"):
                candidates = self._select(scope, view, fused, top_k, threshold)
            trace.update(output=[candidate.chunk.id for candidate in candidates])
            return RetrievalResult(
                analyzed.query, tuple(candidates), clock.timings, tuple(degradations), trace.trace_id
            )

    def close(self) -> None:
        """Stop the threads of the legs."""
        self._legs.shutdown()

    def plan(self, view: View, analyzed: AnalyzedQuery) -> dict[str, Leg]:
        """The legs a question is put to, by name."""
        legs = lexical_legs(view, analyzed.text, self._settings)
        embedder = self._embedder()
        if embedder is not None and self._settings.dense_weight > 0:
            legs[DENSE] = dense_leg(view, analyzed.text, embedder)
        if analyzed.query.references:
            legs[REFERENCE] = reference_leg(view, analyzed)
        return legs

    def _run(self, plan: dict[str, Leg], clock: _Clock) -> tuple[dict[str, LegScores], list[Degradation]]:
        """Run the legs side by side; one that fails is left out and named."""

        def timed(name: str, leg: Leg) -> LegScores:
            with clock(name):
                return leg()

        running = {name: self._legs.submit(in_current_trace(timed), name, leg) for name, leg in plan.items()}
        scores, degradations = {}, []
        for name, future in running.items():
            try:
                scores[name] = future.result()
            except Exception as error:  # whatever breaks one leg must not break the query
                degradations.append(Degradation(name, f"{type(error).__name__}: {error}"))
        return scores, degradations

    def _select(self, scope: Scope, view: View, fused: Fused, top_k: int, threshold: float) -> list[Candidate]:
        """The first ``top_k`` that pass gate and deduplication; chunks are read in blocks."""
        passing = fused.order[fused.scores[fused.order] >= threshold]
        selected: list[Candidate] = []
        for candidate in deduplicate(self._read(scope, view, fused, passing, block=top_k + _SPARE)):
            selected.append(candidate)
            if len(selected) == top_k:
                break
        return selected

    def _read(
        self, scope: Scope, view: View, fused: Fused, rows: npt.NDArray[np.int64], block: int
    ) -> Iterator[Candidate]:
        for start in range(0, len(rows), block):
            part = rows[start : start + block]
            ids = [view.chunk_id(int(row)) for row in part]
            chunks = self._store.get(scope, ids)
            for row, id_ in zip(part, ids, strict=True):
                if id_ in chunks:
                    yield Candidate(chunks[id_], float(fused.scores[row]), fused.stages(int(row)))


class _Clock:
    """Milliseconds per stage, each stage also an observation of the trace."""

    def __init__(self, tracer: Tracer) -> None:
        self.timings: dict[str, float] = {}
        self._tracer = tracer

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        with self._tracer.observe(f"retrieve.{stage}"):
            yield
        self.timings[stage] = (time.perf_counter() - start) * 1000
