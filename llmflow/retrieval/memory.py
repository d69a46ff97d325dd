"""The memory leg: passages that were right for past questions are raised for similar ones.

A question's similarity to a past one is the cosine of their idf-weighted terms (words and
character 2-grams), 1 for the same question. A passage's score is the noisy-or of the squared
similarities of the past questions it was accepted for: 1 - prod(1 - s^2), so that one equal
question is enough, several related ones add up, and a score means the same for every question.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from llmflow.models.sparse import encode_query
from llmflow.retrieval.analysis import AnalyzedQuery
from llmflow.retrieval.legs import Leg
from llmflow.schema import Scope
from llmflow.settings import MemorySettings
from llmflow.stores.index import LegScores, View
from llmflow.stores.memory import Accepted, MemoryStore, Remembered

Floats = npt.NDArray[np.float32]

_WITHHELD = "accepted for a similar question"


class MemoryIndex:
    """Remembered questions, ready to be compared with a new one. Immutable, safe between threads."""

    def __init__(self, questions: Sequence[Remembered]) -> None:
        self.questions = tuple(questions)
        sizes = [len(question.terms) for question in self.questions]
        keys = np.fromiter((key for question in self.questions for key in question.terms), np.uint32, sum(sizes))
        tf = np.fromiter((v for question in self.questions for v in question.terms.values()), np.float32, sum(sizes))
        self._keys, columns, df = np.unique(keys, return_inverse=True, return_counts=True)
        self._idf = _idf(len(sizes), df)
        weights = (1 + np.log(np.maximum(tf, 1))) * self._idf[columns]
        ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        matrix = sp.csr_array((weights, columns, ends), shape=(len(sizes), len(self._keys)), dtype=np.float32)
        self._norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1), dtype=np.float32).ravel())
        self._matrix = matrix

    def nearest(self, terms: Mapping[int, float], settings: MemorySettings) -> list[tuple[Remembered, float]]:
        """The past questions most similar to one with these term frequencies, best first, with the similarities."""
        if not self.questions or not terms:
            return []
        keys = np.fromiter(terms, np.uint32, len(terms))
        weights = 1 + np.log(np.maximum(np.fromiter(terms.values(), np.float32, len(terms)), 1))
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        known = self._keys[at] == keys
        # A term no past question has is as rare as can be.
        weights *= np.where(known, self._idf[at], _idf(len(self.questions), np.zeros(1, np.int64))[0])
        vector = np.zeros(len(self._keys), dtype=np.float32)
        vector[at[known]] = weights[known]
        norms = self._norms * np.float32(np.sqrt(weights @ weights))
        products = self._matrix @ vector
        similarity = np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
        best = np.argsort(-similarity, kind="stable")[: settings.neighbours]
        return [
            (self.questions[number], min(float(similarity[number]), 1.0))
            for number in best.tolist()
            if similarity[number] >= max(settings.similarity, 1e-6)
        ]


class QueryMemory:
    """The remembered questions of every department, in step with the store.

    The store is asked for the departments' versions at every question (one grouped count over an
    index), and only departments that changed are read anew: by the question that finds the change,
    which waits for it, so that what any process remembers or forgets counts from the next question
    on. Reading takes seconds for tens of thousands of questions, so one thread does it at a time.
    Questions that come meanwhile use what was read before, without the changes, or wait for that
    reading where there is nothing yet; the first one after it finds what changed since.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._departments: dict[tuple[str, str], _Department] = {}

    def indexes(self, scope: Scope) -> tuple[MemoryIndex, ...]:
        """The memories of the scope's departments."""
        return tuple(
            self._index(scope.tenant, department, version)
            for department, version in self._store.versions(scope).items()
        )

    def _index(self, tenant: str, department: str, version: str) -> MemoryIndex:
        with self._lock:
            memory = self._departments.setdefault((tenant, department), _Department())
        held = memory.held
        if held is not None and held.version == version:
            return held.index
        if memory.reading.acquire(blocking=held is None):
            try:
                if memory.held is held:  # no other thread has read it since we looked
                    memory.held = _Held(version, MemoryIndex(self._store.remembered(tenant, department)))
                held = memory.held
            finally:
                memory.reading.release()
        assert held is not None
        return held.index


@dataclass(frozen=True, slots=True)
class _Held:
    version: str
    index: MemoryIndex


class _Department:
    """A department's memory; who reads it anew holds ``reading``."""

    def __init__(self) -> None:
        self.reading = threading.Lock()
        self.held: _Held | None = None


Memories = Callable[[Scope], Sequence[MemoryIndex]]
"""Gives the remembered questions a scope may profit from."""


def memory_leg(view: View, analyzed: AnalyzedQuery, memories: Memories, scope: Scope, settings: MemorySettings) -> Leg:
    """Passages accepted for similar questions; only rows of the view can have a score."""

    def search() -> LegScores:
        terms = question_terms(analyzed)
        missed = np.ones(len(view.live), dtype=np.float32)
        best: dict[int, tuple[float, Remembered]] = {}
        for index in memories(scope):
            for question, similarity in index.nearest(terms, settings):
                rows = list({row for accepted in question.accepted for row in _rows(view, accepted)})
                missed[rows] *= np.float32(1 - similarity**2)
                for row in rows:
                    if row not in best or similarity > best[row][0]:
                        best[row] = similarity, question

        def explain(row: int) -> str | None:
            if row not in best:
                return None
            similarity, question = best[row]
            readable = any(set(asker) <= set(scope.departments) for asker in question.askers)
            return f"accepted for '{question.question}' (similarity {similarity:.2f})" if readable else _WITHHELD

        return LegScores(1 - missed, 1.0, explain)

    return search


def question_terms(analyzed: AnalyzedQuery) -> dict[int, float]:
    """A question's term frequencies by dimension, both streams together."""
    return {key: tf for vector in encode_query(analyzed.text.body).values() for key, tf in vector.items()}


def _rows(view: View, accepted: Accepted) -> tuple[int, ...]:
    if accepted.chunk_id is not None:
        return view.rows_of_chunk(accepted.chunk_id)
    return view.rows_of_document(accepted.document_id)


def _idf(questions: int, df: npt.NDArray[np.int64]) -> Floats:
    return np.asarray(np.log1p((questions - df + 0.5) / (df + 0.5)), dtype=np.float32)
