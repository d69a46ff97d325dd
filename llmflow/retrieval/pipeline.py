"""The retrieval pipeline: analyse -> legs in parallel -> fuse -> deduplicate -> rerank -> diversify -> gate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice, takewhile

from llmflow.errors import InvalidInputError
from llmflow.retrieval.analysis import analyze_query
from llmflow.retrieval.clock import Clock
from llmflow.retrieval.deduplication import deduplicate
from llmflow.retrieval.fusion import Fused, fuse
from llmflow.retrieval.head import Asked, HeadStages, capped
from llmflow.retrieval.learned import LearnedFusion
from llmflow.retrieval.planning import FACTS, LegPlanner
from llmflow.retrieval.running import LegRunner
from llmflow.schema import Candidate, Degradation, RerankMode, RetrievalResult, Scope
from llmflow.settings import RetrievalSettings
from llmflow.stores.index import SearchIndex, View
from llmflow.stores.vectors import VectorStore
from llmflow.tracing import Tracer

MAX_TOP_K = 1000
_SPARE = 15
"""Chunks read beyond those asked for, to take the place of duplicates."""


class Retriever:
    """From a question to ranked candidates.

    Args:
        index: the rows to search.
        store: where the candidates' chunks are read from.
        legs: makes the legs of a question.
        head: the stages that read the best passages.
        learned: orders the fused list anew; None without.
    """

    def __init__(
        self,
        index: SearchIndex,
        store: VectorStore,
        legs: LegPlanner,
        head: HeadStages,
        settings: RetrievalSettings,
        tracer: Tracer,
        learned: LearnedFusion | None = None,
    ) -> None:
        self._index = index
        self._store = store
        self._legs = legs
        self._head = head
        self._learned = learned
        self._settings = settings
        self._tracer = tracer
        self._runner = LegRunner(settings.leg_timeout_s)

    def retrieve(
        self,
        scope: Scope,
        question: str,
        top_k: int | None = None,
        threshold: float | None = None,
        documents: frozenset[str] | None = None,
        rerank: RerankMode | None = None,
        explain: bool = False,
    ) -> RetrievalResult:
        """The best candidates for a question, best first.

        Args:
            top_k: how many at most, 1 to 1,000; default from the settings. It never changes
                the order of the head.
            threshold: least score, 0 to 1; default from the settings. 0 lets all pass.
            documents: ids of the only documents looked into; None for all of the scope. Others are
                left out before anything is counted, so that they never shorten the result.
            rerank: the only model to rerank with; None for all that are configured.
            explain: add to each candidate what the stages have to say of it.

        Raises:
            InvalidInputError: the question, a number or the model is outside what is allowed.
        """
        top_k = self._settings.top_k if top_k is None else top_k
        threshold = self._settings.threshold if threshold is None else threshold
        if not 1 <= top_k <= MAX_TOP_K:
            raise InvalidInputError(f"top_k is {top_k}; allowed are 1 to {MAX_TOP_K}", param="top_k")
        if not 0 <= threshold <= 1:
            raise InvalidInputError(f"threshold is {threshold}; allowed are 0 to 1", param="threshold")
        stages = self._head.plan(rerank)
        clock = Clock(self._tracer)
        with self._tracer.observe("retrieve", kind="retriever", top_k=top_k, threshold=threshold) as trace:
            with clock("analyze"):
                analyzed = analyze_query(question)
            view = self._index.view(scope)
            with clock("legs"):
                scores, degradations = self._runner.run(self._legs.plan(scope, view, analyzed), clock)
            with clock("fuse"):
                allowed = None if documents is None else view.of_documents(documents)
                fused = fuse(scores, view, self._settings, allowed)
                second, late = self._runner.run(self._legs.plan_second(scope, view, fused), clock)
                if second:
                    fused = fuse({**scores, **second}, view, self._settings, allowed)
                if self._learned is not None:
                    late += [Degradation("learned", f"{leg} gave no scores") for leg in self._learned.missing(fused)]
                    fused = self._learned.apply(fused, view, analyzed)
            looked_at = max((stage.depth for stage in stages), default=0)
            found = self._candidates(scope, view, fused, explain, block=max(top_k, looked_at) + _SPARE)
            asked = Asked(scope.tenant, analyzed.query.text)
            head, failed = self._head.run(asked, list(islice(found, looked_at)), stages, clock)
            with clock("select"):
                tail = takewhile(lambda item: item.score >= threshold, capped(found, head))
                passing = chain((item for item in head if item.score >= threshold), tail)
                candidates = tuple(item if explain else replace(item, notes=()) for item in islice(passing, top_k))
            known, unknown = self._runner.run(self._legs.plan_facts(scope, candidates), clock)
            trace.update(output=[candidate.chunk.id for candidate in candidates])
            return RetrievalResult(
                analyzed.query,
                candidates,
                clock.timings,
                (*degradations, *late, *failed, *unknown),
                trace.trace_id,
                known.get(FACTS, ()),
            )

    def close(self) -> None:
        """Stop the threads of the legs."""
        self._runner.close()

    def _candidates(self, scope: Scope, view: View, fused: Fused, explain: bool, block: int) -> Iterator[Candidate]:
        """Candidates in the order of the fusion without duplicates, read as they are asked for, in blocks."""
        return deduplicate(self._read(scope, view, fused, explain, block), self._settings.near_duplicates)

    def _read(self, scope: Scope, view: View, fused: Fused, explain: bool, block: int) -> Iterator[Candidate]:
        for start in range(0, len(fused.order), block):
            part = fused.order[start : start + block].tolist()
            ids = [view.chunk_id(row) for row in part]
            chunks = self._store.get(scope, ids)
            for row, id_ in zip(part, ids, strict=True):
                if id_ in chunks:
                    notes = fused.notes(row) if explain else ()
                    yield Candidate(chunks[id_], float(fused.scores[row]), fused.stages(row), notes)
