"""Fits the fusion of retrieval to judged questions: weights, and a learned fusion where there are enough.

Questions are judged in BEIR's form and answered by LLMFlow's own legs over the set's corpus. A
fifth of them is held back: everything is fitted on the others and reported on these. The
questions are each other's memory, in five parts: a question's memory holds the other parts
only, so that it looks as it will for a new question.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluation.beir import Dataset, load
from evaluation.retrieval import SCOPE, Progress, build, isolated
from llmflow.errors import ConfigurationError, InvalidInputError
from llmflow.retrieval.analysis import AnalyzedQuery, analyze_query
from llmflow.retrieval.fusion import Fused, fuse
from llmflow.retrieval.learned import HEAD, MIN_QUESTIONS, Judged, LearnedFusion, features, learn, open_learned
from llmflow.retrieval.legs import DENSE, GRAPH, LEXICAL, MEMORY, REFERENCE, SPARSE, SPREAD
from llmflow.retrieval.memory import MemoryIndex, question_terms
from llmflow.retrieval.planning import LegPlanner
from llmflow.runtime import Runtime
from llmflow.schema import Scope
from llmflow.settings import RetrievalSettings, Settings
from llmflow.stores.index import LegScores
from llmflow.stores.memory import Accepted, Remembered

PARTS = 5
_SEED = 13
_GRID = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0)
"""Never 0: a leg without weight is not run, and a learned fusion could make nothing of it."""
_PASSES = 2
_DEEP = 300
"""Rows of the list, and of each leg a tenth of it, that weights are fitted on."""
_MOST = 1000
"""Questions weights are fitted on; they are few numbers."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Tuned:
    """What was found. Values are nDCG@10 of the held-back questions.

    ``before`` is that of the settings as they are, ``after`` that of ``convex`` with the best
    weights. ``fusion`` is the best of both and, where it was trained, ``learned``; a draw is for
    the settings as they are. ``weights``, settings of ``retrieval`` by name, and ``model`` are what
    the best has that the settings have not; none and None where that is nothing.
    """

    questions: int
    held_back: int
    before: float
    after: float
    weights: Mapping[str, float]
    fusion: str
    learned: float | None
    model: LearnedFusion | None
    seconds: Mapping[str, float]


def tune_retrieval(folder: Path, split: str, settings: Settings, progress: Progress, *, learning: bool) -> Tuned:
    """Fit weights to a split's questions, and with ``learning`` a learned fusion; nothing is saved.

    A learned fusion of the settings is compared with like any other. Where its model was trained on
    the same questions, it has seen those held back and looks better than it is.

    Raises:
        InvalidInputError: the folder is no BEIR set or lacks the split, or it has too few questions.
        ConfigurationError: LightGBM is not installed and ``learning`` needs it, or the learned fusion
            of the settings cannot be used; with ``learning`` ``convex`` then stands for it.
    """
    data = load(folder, split)
    if learning and len(data.queries) < MIN_QUESTIONS:
        raise InvalidInputError(
            f"split {split!r} of {folder} has {len(data.queries)} judged questions; a learned fusion needs"
            f" {MIN_QUESTIONS}: go without --learn, or judge more",
            param="split",
        )
    if len(data.queries) < 2 * PARTS:
        raise InvalidInputError(
            f"split {split!r} of {folder} has {len(data.queries)} judged questions; tuning needs {2 * PARTS}",
            param="split",
        )
    given = settings.retrieval
    try:
        learned = open_learned(given)
    except ConfigurationError:
        if not learning:
            raise
        learned, given = None, given.model_copy(update={"fusion": "convex"})
    with tempfile.TemporaryDirectory(prefix="llmflow-tuning-") as scratch:  # noqa: SIM117
        with Runtime(isolated(settings, Path(scratch), tracing=False)) as runtime:
            build(runtime, data, progress)
            return _Tuning(runtime, data, progress).run(given, learned, learning)


@dataclass(frozen=True, eq=False)
class _Pool:
    """A question's best rows: ``scores`` of each leg {name: (rows,)}, documents and grades."""

    legs: Mapping[str, Floats]
    documents: Sequence[str]
    relevant: Mapping[str, int]

    def quality(self, weights: Mapping[str, float]) -> float:
        total = np.sum([np.float32(weights[name]) * scores for name, scores in self.legs.items()], axis=0)
        return ndcg([self.documents[row] for row in np.argsort(-total, kind="stable")], self.relevant)


class _Tuning:
    def __init__(self, runtime: Runtime, data: Dataset, progress: Progress) -> None:
        self._runtime = runtime
        self._data = data
        self._progress = progress
        self._view = runtime.indexer.index.view(SCOPE)
        self._analyzed = {query: analyze_query(text) for query, text in data.queries.items()}
        order = np.random.default_rng(_SEED).permutation(len(data.queries))
        names = list(data.queries)
        self._part = {names[at]: number % PARTS for number, at in enumerate(order)}
        self._memories = [self._memory(without=part) for part in range(PARTS)]
        self.held_back = [query for query in names if self._part[query] == 0]
        self.fitted = [names[at] for at in order if self._part[names[at]] != 0]
        self.seconds: dict[str, float] = {}

    def run(self, given: RetrievalSettings, given_model: LearnedFusion | None, learning: bool) -> Tuned:
        settings = given.model_copy(update={"fusion": "convex"})
        with self._timed("weights"):
            weights = self._weights(settings)
        tuned = settings.model_copy(update=weights)
        before = self._measure(given, given_model)
        untuned = before if given.fusion == "convex" else self._measure(settings)
        after = self._measure(tuned)
        if after <= untuned:
            weights, tuned, after = {}, settings, untuned
        learned, model = self._learn(tuned, after) if learning else (None, None)
        if learned is not None and learned > max(before, after):
            fusion = "learned"
        elif after > before:
            fusion, model = "convex", None
        else:
            fusion, weights, model = given.fusion, {}, None
        return Tuned(len(self._part), len(self.held_back), before, after, weights, fusion, learned, model, self.seconds)

    # -- weights -----------------------------------------------------------------------------

    def _weights(self, settings: RetrievalSettings) -> dict[str, float]:
        """The weights to be changed, by coordinate ascent: each leg's along a grid."""
        asked = self.fitted[:_MOST]
        pools = [self._pool(query, settings) for query in self._each(asked, "run the legs")]
        present = [name for name in (DENSE, SPARSE, GRAPH, SPREAD, MEMORY) if any(name in pool.legs for pool in pools)]
        given = {name: float(getattr(settings, f"{name}_weight")) for name in present}
        weights = given

        def quality(candidate: Mapping[str, float]) -> float:
            values = {"keywords": 1.0, REFERENCE: 1.0, **candidate}
            return float(np.mean([pool.quality(values) for pool in pools]))

        best = quality(weights)
        for name in self._each(present * _PASSES, "fit the weights"):
            for value in _GRID:
                found = quality({**weights, name: value})
                if found > best + 1e-4:
                    best, weights = found, {**weights, name: value}
        return {f"{name}_weight": value for name, value in weights.items() if value != given[name]}

    def _pool(self, query: str, settings: RetrievalSettings) -> _Pool:
        fused = self._fused(query, settings)
        rows = set(fused.order[:_DEEP].tolist())
        for leg in fused.legs.values():
            rows.update(np.argsort(-leg.scores, kind="stable")[: _DEEP // 10].tolist())
        chosen = np.array(sorted(rows), dtype=np.int64)
        bound = sum(leg.bound for name, leg in fused.legs.items() if name in LEXICAL)
        legs = {name: leg.scores[chosen] for name, leg in fused.legs.items() if name not in LEXICAL}
        keywords = np.sum([leg.scores[chosen] for name, leg in fused.legs.items() if name in LEXICAL], axis=0)
        legs["keywords"] = (keywords / max(bound, 1e-9)).astype(np.float32)
        return _Pool(legs, [self._view.document_id(row) for row in chosen.tolist()], self._data.qrels[query])

    def _measure(self, settings: RetrievalSettings, learned: LearnedFusion | None = None) -> float:
        """nDCG@10 of the held-back questions."""
        found = []
        for query in self._each(self.held_back, "measure"):
            fused = self._fused(query, settings)
            if learned is not None:
                fused = learned.apply(fused, self._view, self._analyzed[query])
            found.append(ndcg(self._documents(fused.order), self._data.qrels[query]))
        return round(float(np.mean(found)), 4)

    # -- learned fusion ----------------------------------------------------------------------

    def _learn(self, settings: RetrievalSettings, convex: float) -> tuple[float, LearnedFusion]:
        """A model of all questions, and what one that has not seen the held-back ones reached on those."""
        heads: dict[str, tuple[Judged, list[str]]] = {}
        legs: tuple[str, ...] = ()
        for query in self._each(list(self._part), "run the legs again"):
            fused = self._fused(query, settings)
            legs = legs or tuple(name for name in fused.legs if name != REFERENCE)
            documents = [self._view.document_id(row) for row in fused.order[:HEAD].tolist()]
            relevant = self._data.qrels[query]
            grades = np.array([max(relevant.get(document, 0), 0) for document in documents], dtype=np.int64)
            values = features(fused, self._view, self._analyzed[query], legs)
            heads[query] = Judged(values, grades), documents
        held_back = [heads[query][0] for query in self.held_back]
        with self._timed("learn"):
            blind = learn([heads[query][0] for query in self.fitted], legs, held_back, {})
        found = []
        for query in self.held_back:
            judged, documents = heads[query]
            order = np.argsort(-blind.predict(judged.features), kind="stable")
            found.append(ndcg([documents[row] for row in order.tolist()], self._data.qrels[query]))
        reached = round(float(np.mean(found)), 4)
        model = learn([judged for judged, _ in heads.values()], legs, held_back, {"ndcg@10": reached, "convex": convex})
        # The calibration of the model that had not seen the questions it was calibrated on.
        return reached, replace(model, slope=blind.slope, offset=blind.offset)

    # -- running the legs --------------------------------------------------------------------

    def _fused(self, query: str, settings: RetrievalSettings) -> Fused:
        part, analyzed = self._part[query], self._analyzed[query]
        everything = self._runtime.settings.model_copy(update={"retrieval": settings})
        memories = self._memories[part]

        def remembered(_: Scope) -> tuple[MemoryIndex]:
            return (memories,)

        planner = LegPlanner(
            lambda: self._runtime.indexer.embedder,
            self._runtime.graph,
            remembered if everything.memory.enabled else None,
            everything,
        )
        scores: dict[str, LegScores] = {name: leg() for name, leg in planner.plan(SCOPE, self._view, analyzed).items()}
        fused = fuse(scores, self._view, settings)
        second = {name: leg() for name, leg in planner.plan_second(SCOPE, self._view, fused).items()}
        return fuse({**scores, **second}, self._view, settings) if second else fused

    def _documents(self, rows: npt.NDArray[np.int64]) -> list[str]:
        return [self._view.document_id(row) for row in rows[:_DEEP].tolist()]

    def _memory(self, without: int) -> MemoryIndex:
        known = [query for query in self._data.queries if self._part[query] != without]
        return MemoryIndex(gold(self._data, known, self._analyzed))

    def _each(self, items: Sequence[str], step: str) -> Iterator[str]:
        for number, item in enumerate(items, 1):
            yield item
            self._progress(step, number, len(items))

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[step] = round(time.perf_counter() - started, 1)


def gold(data: Dataset, queries: Sequence[str], analyzed: Mapping[str, AnalyzedQuery]) -> list[Remembered]:
    """Judged questions as memories: the documents that are relevant to each."""
    return [
        Remembered(
            data.queries[query],
            question_terms(analyzed[query]),
            tuple(Accepted(document) for document, grade in data.qrels[query].items() if grade > 0),
            (SCOPE.departments,),
        )
        for query in queries
    ]


def ndcg(documents: Sequence[str], relevant: Mapping[str, int], depth: int = 10) -> float:
    """nDCG of ranked documents, of which only the first mention counts; gain is the grade, as in trec_eval."""
    ranked = list(dict.fromkeys(documents))[:depth]
    ideal = sorted((grade for grade in relevant.values() if grade > 0), reverse=True)[:depth]
    best = sum(grade / np.log2(place + 2) for place, grade in enumerate(ideal))
    gained = sum(max(relevant.get(document, 0), 0) / np.log2(place + 2) for place, document in enumerate(ranked))
    return float(gained / best) if best else 0.0
