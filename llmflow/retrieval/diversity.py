"""Maximal marginal relevance: what says the same as a passage before it steps back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llmflow.retrieval.similarity import Shingles, letters_of
from llmflow.schema import Candidate


def diversify(candidates: Sequence[Candidate], weight: float) -> tuple[int, ...]:
    """The order of candidates by relevance less likeness to those before them.

    Each next one is that with the highest ``(1 - weight) score - weight max similarity``, the
    similarity being the Jaccard similarity of shingles. Carbonell and Goldstein 1998, "The Use
    of MMR, Diversity-Based Reranking".

    Args:
        weight: 0 keeps the order by score, 1 looks at differences alone.
    """
    scores = (1 - weight) * np.array([candidate.score for candidate in candidates])
    shingles = [Shingles.of(letters_of(candidate.chunk.text)) for candidate in candidates]
    nearest = np.zeros(len(candidates))
    left = list(range(len(candidates)))
    order: list[int] = []
    while left:
        best = max(left, key=lambda at: scores[at] - weight * nearest[at])
        left.remove(best)
        order.append(best)
        for at in left:
            nearest[at] = max(nearest[at], shingles[at].jaccard(shingles[best]))
    return tuple(order)
