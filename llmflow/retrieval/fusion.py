"""Fusion: the legs' scores of every row become one score in [0, 1].

The lexical legs are added up and divided by the highest sum the question allows (every word
of it found, endlessly often), so that a score means the same for every question and can be
held against a threshold; the dense leg's cosine is added with a weight. Convex sums with
theoretical bounds: Bruch et al. 2023, "An Analysis of Fusion Functions for Hybrid Retrieval".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llmflow.retrieval.legs import DENSE, LEXICAL, REFERENCE
from llmflow.schema import StageScore
from llmflow.settings import RetrievalSettings
from llmflow.stores.index import LegScores, View

FUSED = "fused"


@dataclass(frozen=True, slots=True)
class Fused:
    """Rows by falling score, and the legs they come from.

    ``order`` holds the rows any leg found; ``scores`` (rows,) are clipped to [0, 1].
    """

    order: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    legs: Mapping[str, npt.NDArray[np.float32]]

    def stages(self, row: int) -> tuple[StageScore, ...]:
        """The row's rank and score in every leg that found it, and in the fusion."""
        return tuple(
            StageScore(name, 1 + int(np.count_nonzero(scores > scores[row])), float(scores[row]))
            for name, scores in {**self.legs, FUSED: self.scores}.items()
            if scores[row] > 0
        )


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
    total = np.zeros(len(view.live), dtype=np.float32)
    bound = sum(legs[name].bound for name in LEXICAL if name in legs)
    if bound > 0:
        total += sum(legs[name].scores for name in LEXICAL if name in legs) / np.float32(bound)
    if DENSE in legs:
        total += np.float32(settings.dense_weight) * legs[DENSE].scores
    if REFERENCE in legs:
        total += legs[REFERENCE].scores
    total[~(view.live if allowed is None else allowed)] = -np.inf
    depth = min(settings.depth, len(total))
    best = np.argpartition(-total, depth - 1)[:depth] if depth else np.empty(0, np.int64)
    total[best] += np.float32(settings.document_weight) * _support(total[best], view.documents[best])
    # Equal scores keep the order of ingestion, whatever the depth.
    order = best[np.lexsort((best, -total[best]))]
    return Fused(order[total[order] > 0], np.clip(total, 0, 1), {name: leg.scores for name, leg in legs.items()})


def _support(scores: npt.NDArray[np.float32], documents: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
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
