"""Deduplication: of near-identical passages only the best-ranked stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import nsmallest

from llmflow.schema import Candidate

_SHINGLE = 5
_SIMILARITY = 0.95
_SKETCH = 8


def deduplicate(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """Candidates in order, without those whose text nearly repeats an earlier one's.

    Two texts are near-identical when the sets of their character 5-grams, white space aside,
    have a Jaccard index of at least .95.
    """
    kept: dict[int, list[frozenset[str]]] = {}
    for candidate in candidates:
        shingles = _shingles(candidate.chunk.text)
        # Texts this similar share one of their smallest hashes (a bottom-k sketch) all but surely.
        sketch = nsmallest(_SKETCH, map(hash, shingles))
        if not any(_similar(shingles, other) for key in sketch for other in kept.get(key, ())):
            for key in sketch:
                kept.setdefault(key, []).append(shingles)
            yield candidate


def _shingles(text: str) -> frozenset[str]:
    squeezed = "".join(text.split())
    return frozenset(squeezed[i : i + _SHINGLE] for i in range(max(len(squeezed) - _SHINGLE + 1, 1)))


def _similar(one: frozenset[str], other: frozenset[str]) -> bool:
    small, large = sorted((len(one), len(other)))
    if small < _SIMILARITY * large:
        return False
    common = len(one & other)
    return common >= _SIMILARITY * (len(one) + len(other) - common)
