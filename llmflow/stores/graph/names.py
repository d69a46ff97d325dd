"""The names of a department as an inverted index: which of them does a question name?

Postings are only ever appended; names that are gone are skipped, and cleared away when they are
most of it. So a write costs what it adds, and a query a few array operations.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

LEAST_COVERAGE = 0.3
MOST_NAMES = 500
EVIDENCE = 3.0
"""Matched idf at which a match counts half: one common word says little, even if it is the whole name."""


@dataclass(slots=True)
class _Name:
    entity: str
    text: str
    terms: tuple[int, ...]
    chunks: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Arrays:
    """Postings as (names, terms, weights), each of shape (postings,), and every name's sum of weights."""

    names: npt.NDArray[np.int32]
    terms: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float64]
    totals: npt.NDArray[np.float64]


class NameIndex:
    """Names with their terms and the chunks they are names of. Not safe between threads."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._names: list[_Name] = []
        self._terms: dict[str, int] = {}
        self._df = array("i")
        self._posted = (array("i"), array("i"))
        self._arrays: _Arrays | None = None

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, entity: str, text: str, terms: Collection[str], chunk: str) -> None:
        """An entity is what a chunk is about."""
        number = self._numbers.get(entity)
        if number is None:
            number = self._numbers[entity] = len(self._names)
            known = [self._terms.setdefault(term, len(self._terms)) for term in dict.fromkeys(terms)]
            self._df.extend([0] * (len(self._terms) - len(self._df)))
            self._names.append(_Name(entity, text, tuple(known)))
            for term in known:
                self._df[term] += 1
                self._posted[0].append(number)
                self._posted[1].append(term)
            self._arrays = None
        self._names[number].chunks[chunk] = None

    def remove(self, entity: str, chunk: str) -> None:
        """The chunk is gone; a name without chunks goes too."""
        number = self._numbers.get(entity)
        if number is None:
            return
        name = self._names[number]
        name.chunks.pop(chunk, None)
        if not name.chunks:
            del self._numbers[entity]
            for term in name.terms:
                self._df[term] -= 1
            self._arrays = None
            if len(self._names) > 2 * len(self._numbers):
                self._clear_away()

    def match(self, terms: Collection[str]) -> Iterator[tuple[float, str, Collection[str]]]:
        """(score, name, chunks) of the best 500 names a question with these terms covers at least 30 % of.

        The score is the squared share of the name's idf that is covered, times the covered idf over
        itself plus 3, over 1 + ln of the number of chunks that have the name. In [0, 1).
        """
        known = [self._terms[term] for term in set(terms) if term in self._terms]
        if not known or not self._numbers:
            return
        arrays = self._arrays = self._arrays or self._snapshot()
        asked = np.zeros(len(self._terms), dtype=bool)
        asked[known] = True
        hits = asked[arrays.terms]
        covered = np.bincount(arrays.names[hits], arrays.weights[hits], minlength=len(self._names))
        coverage = np.divide(covered, arrays.totals, out=np.zeros_like(covered), where=arrays.totals > 0)
        found = np.flatnonzero(coverage >= LEAST_COVERAGE)
        scores = coverage[found] ** 2 * covered[found] / (covered[found] + EVIDENCE)
        for at in np.argsort(-scores, kind="stable")[:MOST_NAMES].tolist():
            name = self._names[found[at]]
            yield float(scores[at]) / (1 + math.log(len(name.chunks))), name.text, name.chunks.keys()

    def _snapshot(self) -> _Arrays:
        names, terms = (np.frombuffer(posted, dtype=np.int32).copy() for posted in self._posted)
        alive = np.array([bool(name.chunks) for name in self._names])[names]
        names, terms = names[alive], terms[alive]
        df = np.frombuffer(self._df, dtype=np.int32)
        weights = np.log(1 + (len(self) - df + 0.5) / (df + 0.5))[terms]
        totals = np.bincount(names, weights, minlength=len(self._names)).astype(np.float64)
        return _Arrays(names, terms, weights, totals)

    def _clear_away(self) -> None:
        other = NameIndex()
        words = list(self._terms)
        for name in self._names:
            for chunk in name.chunks:
                other.add(name.entity, name.text, [words[term] for term in name.terms], chunk)
        self.__dict__.update(other.__dict__)
