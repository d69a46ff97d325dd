"""Fusion: the legs' scores of every row become one score in [0, 1].

What finds words (four lexical legs, added up), what finds meaning (dense) and what a model
learned of words (learned sparse) are fused by one of three formulas:

- ``convex``: each divided by the highest score the question allows, so that a score means the
  same for every question and can be held against a threshold, and added with weights. Bruch et
  al. 2023, "An Analysis of Fusion Functions for Hybrid Retrieval".
- ``rrf``: reciprocal ranks. Cormack et al. 2009, "Reciprocal Rank Fusion".
- ``minmax``: .3 of the keywords' and .7 of the dense score, each over its range.

What graph and memory say is added with its weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llmflow.retrieval.legs import DENSE, GRAPH, LEXICAL, MEMORY, REFERENCE, SPARSE, SPREAD
from llmflow.schema import StageNote, StageScore
from llmflow.settings import RetrievalSettings
from llmflow.stores.index import LegScores, View

FUSED = "fused"
KEYWORDS = "keywords"
_MINMAX = {KEYWORDS: 0.3, DENSE: 0.7}

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Fused:
    """Rows by falling score, and the legs they come from.

    ``order`` holds the rows any leg found; ``scores`` (rows,) are clipped to [0, 1].
    """

    order: npt.NDArray[np.int64]
    scores: Floats
    legs: Mapping[str, LegScores]

    def stages(self, row: int) -> tuple[StageScore, ...]:
        """The row's rank and score in every leg that found it, and in the fusion."""
        scores = {**{name: leg.scores for name, leg in self.legs.items()}, FUSED: self.scores}
        return tuple(
            StageScore(name, 1 + int(np.count_nonzero(values > values[row])), float(values[row]))
            for name, values in scores.items()
            if values[row] > 0
        )

    def notes(self, row: int) -> tuple[StageNote, ...]:
        """What the legs that found the row say of it."""
        said = ((name, leg.explain(row)) for name, leg in self.legs.items() if leg.scores[row] > 0)
        return tuple(StageNote(name, text) for name, text in said if text)


def fuse(
    legs: Mapping[str, LegScores],
    view: View,
    settings: RetrievalSettings,
    allowed: npt.NDArray[np.bool_] | None = None,
) -> Fused:
    """Fuse the legs that answered; the best ``settings.depth`` of the ``allowed`` rows (rows,) are kept.

    A row gains a share of the score of its document's best other row. A row named by a statute
    reference stands before all others.
    """
    searched = view.live if allowed is None else allowed
    total = _reciprocal_ranks(legs, searched, settings) if settings.fusion == "rrf" else _sum(legs, searched, settings)
    if REFERENCE in legs:
        total += legs[REFERENCE].scores
    total[~searched] = -np.inf
    depth = min(settings.depth, len(total))
    best = np.argpartition(-total, depth - 1)[:depth] if depth else np.empty(0, np.int64)
    if settings.fusion != "rrf":  # ranks lie so close together that a tenth of one would outweigh most of them
        total[best] += np.float32(settings.document_weight) * _support(total[best], view.documents[best])
    # Equal scores keep the order of ingestion, whatever the depth.
    order = best[np.lexsort((best, -total[best]))]
    return Fused(order[total[order] > 0], np.clip(total, 0, 1), legs)


def _sum(legs: Mapping[str, LegScores], searched: npt.NDArray[np.bool_], settings: RetrievalSettings) -> Floats:
    """The legs' scores with their weights, of shape (rows,)."""
    parts = _parts(legs)
    if settings.fusion == "minmax":
        weights = {**_MINMAX, SPARSE: settings.sparse_weight}
        parts = {name: _over_range(scores, searched) for name, scores in parts.items()}
    else:
        weights = {KEYWORDS: 1.0, DENSE: settings.dense_weight, SPARSE: settings.sparse_weight}
    total = _additions(legs, len(searched), settings)
    for name, scores in parts.items():
        total += np.float32(weights[name]) * scores
    return total


def _reciprocal_ranks(
    legs: Mapping[str, LegScores], searched: npt.NDArray[np.bool_], settings: RetrievalSettings
) -> Floats:
    """Mean of (k + 1) / (k + rank) over the lists, of the best ``depth`` rows of each; a row first in all has 1.

    What graph and memory say is scaled so that 1 is worth ten ranks at the top: as lists of their
    own, which know few rows, they would outweigh the others.
    """
    k = settings.rrf_k
    total = _additions(legs, len(searched), settings) * np.float32(1 - (k + 1) / (k + 11))
    lists = _parts(legs)
    for scores in lists.values():
        found = np.where(searched, scores, 0)
        depth = min(settings.depth, int(np.count_nonzero(found > 0)))
        best = np.argsort(-found, kind="stable")[:depth]
        total[best] += ((k + 1) / (k + np.arange(1, depth + 1)) / len(lists)).astype(np.float32)
    return total


def _parts(legs: Mapping[str, LegScores]) -> dict[str, Floats]:
    """The lexical legs as one, dense and learned sparse, each with 1 as the highest score possible."""
    parts: dict[str, Floats] = {}
    bound = sum(legs[name].bound for name in LEXICAL if name in legs)
    if bound > 0:
        summed = np.sum([legs[name].scores for name in LEXICAL if name in legs], axis=0, dtype=np.float32)
        parts[KEYWORDS] = np.asarray(summed / np.float32(bound))
    for name in (DENSE, SPARSE):
        if name in legs:
            parts[name] = legs[name].scores
    return parts


def _additions(legs: Mapping[str, LegScores], rows: int, settings: RetrievalSettings) -> Floats:
    """What graph and memory say, with their weights."""
    weights = {GRAPH: settings.graph_weight, SPREAD: settings.spread_weight, MEMORY: settings.memory_weight}
    total = np.zeros(rows, dtype=np.float32)
    for name, weight in weights.items():
        if name in legs:
            total += np.float32(weight) * legs[name].scores
    return total


def _over_range(scores: Floats, searched: npt.NDArray[np.bool_]) -> Floats:
    """Scores with the lowest searched row at 0 and the highest at 1; where they are equal, 1 for what was found."""
    if not searched.any():
        return np.zeros_like(scores)
    low, high = scores[searched].min(), scores[searched].max()
    return np.asarray((scores - low) / (high - low)) if high > low else (scores > 0).astype(np.float32)


def _support(scores: Floats, documents: npt.NDArray[np.int64]) -> Floats:
    """For each row the best score of another row of the same document, 0 where there is none."""
    order = np.lexsort((-scores, documents))
    ranked, owner = scores[order], documents[order]
    leads = np.ones(len(order), dtype=bool)
    leads[1:] = owner[1:] != owner[:-1]
    start = np.maximum.accumulate(np.where(leads, np.arange(len(order)), 0))
    # A document's best row is supported by its second, every other row by the best.
    other = np.where(leads, np.arange(len(order)) + 1, start)
    alone = leads & np.append(leads[1:], True)
    support = np.empty(len(order), dtype=np.float32)
    support[order] = np.where(alone, 0, ranked[np.minimum(other, len(order) - 1)])
    return np.maximum(support, 0)
