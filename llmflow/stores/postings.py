"""Inverted lists in memory: exact BM25 over documents that come and go.

BM25 as in Lucene (Robertson and Zaragoza 2009): ``idf = ln(1 + (N - df + .5) / (df + .5))``,
a document's part ``tf (k1 + 1) / (tf + k1 (1 - b + b dl / avgdl))``; a query term that
occurs tf times weighs ``1 + ln tf``. N, df and avgdl are those of the documents searched,
at the time of the query, so adding and deleting gives what a new index would give.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
SparseRows = Sequence[tuple[npt.NDArray[np.uint32], Floats]]
"""A row each: (dimensions, term frequencies)."""


@dataclass(frozen=True, slots=True)
class Postings:
    """Inverted lists of ``n`` rows; row numbers are those of the segment they belong to.

    ``terms`` sorted (uint32), ``offsets`` (len(terms) + 1), ``rows`` (int32) and ``tf``
    (float32) list by list; ``lengths`` (n,) is each row's sum of term frequencies.
    """

    terms: npt.NDArray[np.uint32]
    offsets: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]
    tf: Floats
    lengths: Floats

    @classmethod
    def build(cls, vectors: SparseRows) -> Postings:
        """Inverted lists of sparse vectors, row ``i`` being ``vectors[i]``."""
        sizes = np.array([len(keys) for keys, _ in vectors], dtype=np.int64)
        keys = np.concatenate([keys for keys, _ in vectors]) if len(vectors) else np.empty(0, np.uint32)
        tf = np.concatenate([values for _, values in vectors]) if len(vectors) else np.empty(0, np.float32)
        return cls.from_triples(keys, np.repeat(np.arange(len(vectors), dtype=np.int32), sizes), tf, len(vectors))

    @classmethod
    def from_triples(cls, keys: npt.NDArray[np.uint32], rows: npt.NDArray[np.int32], tf: Floats, size: int) -> Postings:
        """Inverted lists of ``size`` rows from parallel arrays (dimension, row, term frequency)."""
        order = np.argsort(keys, kind="stable")
        terms, starts = np.unique(keys[order], return_index=True)
        lengths = np.bincount(rows, weights=tf, minlength=size).astype(np.float32)
        offsets = np.append(starts, len(keys)).astype(np.int64)
        return cls(terms.astype(np.uint32), offsets, rows[order], tf[order].astype(np.float32), lengths)

    def lookup(self, keys: npt.NDArray[np.uint32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Start and size of each key's list; size 0 where the key does not occur."""
        if not len(self.terms):
            return np.zeros(len(keys), np.int64), np.zeros(len(keys), np.int64)
        at = np.minimum(np.searchsorted(self.terms, keys), len(self.terms) - 1)
        found = self.terms[at] == keys
        starts = np.where(found, self.offsets[at], 0)
        return starts, np.where(found, self.offsets[at + 1] - starts, 0)


@dataclass(frozen=True, slots=True)
class Matched:
    """A query's postings in one segment: parallel arrays over all matches of live rows."""

    postings: Postings
    live: npt.NDArray[np.bool_]
    term: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]
    tf: Floats


def match(postings: Postings, live: npt.NDArray[np.bool_], keys: npt.NDArray[np.uint32]) -> Matched:
    """Gather the lists of ``keys`` as parallel arrays, rows that are not ``live`` left out."""
    starts, sizes = postings.lookup(keys)
    total = int(sizes.sum())
    ends = np.cumsum(sizes)
    positions = np.arange(total) + np.repeat(starts - (ends - sizes), sizes)
    term = np.repeat(np.arange(len(keys)), sizes)
    rows, tf = postings.rows[positions], postings.tf[positions]
    if not live.all():
        keep = live[rows]
        term, rows, tf = term[keep], rows[keep], tf[keep]
    return Matched(postings, live, term, rows, tf)


def bm25(segments: Iterable[Matched], query_tf: Floats, k1: float, b: float) -> tuple[list[Floats], float]:
    """BM25 of every row of every segment, over the segments' common statistics.

    Args:
        segments: one :class:`Matched` a segment, all for the same query terms.
        query_tf: how often each query term occurs in the query.

    Returns:
        Scores per segment, each of shape (rows,), and the highest score any document could
        have for this query, terms the documents do not know included.
    """
    segments = list(segments)
    documents = sum(int(segment.live.sum()) for segment in segments)
    if not documents:
        return [np.zeros(len(segment.live), np.float32) for segment in segments], 0.0
    total = sum(float(segment.postings.lengths[segment.live].sum()) for segment in segments)
    average = max(total / documents, 1e-9)
    df = np.zeros(len(query_tf))
    for segment in segments:
        df += np.bincount(segment.term, minlength=len(query_tf))
    weight = np.log1p((documents - df + 0.5) / (df + 0.5)) * (1.0 + np.log(query_tf))
    scores = []
    for segment in segments:
        norm = k1 * (1 - b + b * segment.postings.lengths / average)
        part = weight[segment.term] * segment.tf / (segment.tf + norm[segment.rows])
        score = np.bincount(segment.rows, weights=part, minlength=len(segment.live)) * (k1 + 1)
        scores.append(score.astype(np.float32))
    return scores, float(weight.sum() * (k1 + 1))


def to_arrays(vector: Mapping[int, float]) -> tuple[npt.NDArray[np.uint32], Floats]:
    """A sparse vector as (dimensions, values)."""
    return (
        np.fromiter(vector.keys(), np.uint32, len(vector)),
        np.fromiter(vector.values(), np.float32, len(vector)),
    )
