"""The arithmetic of searching the graph, over the departments a scope may see.

Statistics are taken over those departments only, so that nobody's scores depend on documents
they cannot read.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from llmflow.stores.graph.index import DepartmentGraph

_LEAST_COVERAGE = 0.3
_MOST_NAMES = 500
_EVIDENCE = 3.0
"""Matched idf at which a match counts half: one common word says little, even if it is the whole name."""


@dataclass(frozen=True, slots=True)
class Named:
    """A chunk about something the question names; ``score`` in [0, 1)."""

    chunk_id: str
    name: str
    score: float


def named(departments: Sequence[DepartmentGraph], terms: Collection[str]) -> list[Named]:
    """Chunks about what a question with these terms names; a chunk counts by its best name.

    The score is the squared share of a name's idf that the question covers, times the matched idf
    over itself plus 3, over 1 + ln of the number of chunks that have the name.
    """
    total = sum(len(department.names) for department in departments)
    idf = _Idf(departments, total)
    best: dict[str, Named] = {}
    for department in departments:
        matched: Counter[str] = Counter()
        for term in terms:
            weight = idf[term]
            for entity in department.postings.get(term, ()):
                matched[entity] += weight  # type: ignore[assignment]  # a Counter of floats
        scored = []
        for entity, evidence in matched.items():
            name = department.names[entity]
            # A term more than half of whose names it is in still has a weight above 0, so this is never 0 / 0.
            coverage = evidence / sum(idf[term] for term in name.terms)
            if coverage >= _LEAST_COVERAGE:
                score = coverage**2 * evidence / (evidence + _EVIDENCE) / (1 + math.log(len(name.chunks)))
                scored.append((score, entity))
        for score, entity in sorted(scored, reverse=True)[:_MOST_NAMES]:
            name = department.names[entity]
            for chunk in name.chunks:
                if chunk not in best or best[chunk].score < score:
                    best[chunk] = Named(chunk, name.name, score)
    return list(best.values())


def referred(departments: Sequence[DepartmentGraph], weights: Mapping[str, float]) -> dict[str, tuple[float, str]]:
    """What chunks with weights give to those they refer to: each shares its weight among all of them.

    Returns:
        The sum a chunk receives, and the chunk that gives it most.
    """
    received: dict[str, tuple[float, float, str]] = {}
    for chunk, weight in weights.items():
        for department in departments:
            if chunk in department:
                found = department.referred_to(chunk)
                for other in found:
                    share = weight / len(found)
                    total, most, giver = received.get(other, (0.0, 0.0, ""))
                    received[other] = (total + share, max(most, share), chunk if share > most else giver)
    return {chunk: (total, giver) for chunk, (total, _, giver) in received.items()}


def works(departments: Sequence[DepartmentGraph], chunks: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The works each chunk is part of; chunks the graph does not have are left out."""
    return {chunk: d.works_of(chunk) for d in departments for chunk in chunks if chunk in d}


class _Idf(dict[str, float]):
    """BM25's idf of a term over the names of the departments."""

    def __init__(self, departments: Sequence[DepartmentGraph], total: int) -> None:
        super().__init__()
        self._departments = departments
        self._total = total

    def __missing__(self, term: str) -> float:
        df = sum(len(department.postings.get(term, ())) for department in self._departments)
        self[term] = math.log(1 + (self._total - df + 0.5) / (df + 0.5))
        return self[term]
