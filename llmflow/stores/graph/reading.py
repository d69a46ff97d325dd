"""The arithmetic of searching the graph, over the departments a scope may see.

Each department counts for itself, so that nobody's scores depend on documents they cannot read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

from llmflow.schema import Fact
from llmflow.stores.graph.index import DepartmentGraph


@dataclass(frozen=True, slots=True)
class Named:
    """A chunk about something the question names; ``score`` in [0, 1)."""

    chunk_id: str
    name: str
    score: float


def named(departments: Sequence[DepartmentGraph], terms: Collection[str]) -> list[Named]:
    """Chunks about what a question with these terms names; a chunk counts by its best name."""
    best: dict[str, Named] = {}
    for department in departments:
        for score, name, chunks in department.names.match(terms):
            for chunk in chunks:
                if chunk not in best or best[chunk].score < score:
                    best[chunk] = Named(chunk, name, score)
    return list(best.values())


def referred(departments: Sequence[DepartmentGraph], weights: Mapping[str, float]) -> dict[str, tuple[float, str]]:
    """What chunks with weights give to those they refer to: each shares its weight among all of them.

    Returns:
        The sum a chunk receives, and the chunk that gives it most.
    """
    received: dict[str, list[tuple[float, str]]] = {}
    for chunk, weight in weights.items():
        for department in departments:
            if chunk in department:
                found = department.referred_to(chunk)
                for other in found:
                    received.setdefault(other, []).append((weight / len(found), chunk))
    # fsum: the same sum whatever the order.
    return {chunk: (fsum(share for share, _ in shares), max(shares)[1]) for chunk, shares in received.items()}


def facts(departments: Sequence[DepartmentGraph], chunks: Sequence[str], limit: int) -> list[Fact]:
    """Relations written in some chunks; first those that lead to another of them, then by the chunks' order."""
    there = [(number, chunk, d) for number, chunk in enumerate(chunks) for d in departments if chunk in d]
    reached = {entity for _, chunk, department in there for entity in department.subjects_of(chunk)}
    written = [
        (
            found.object_id not in reached,
            number,
            -found.weight,
            Fact(found.subject, found.relation_type, found.object, chunk),
        )
        for number, chunk, department in there
        for found in department.relations_of(chunk)
    ]
    return [fact for *_, fact in sorted(written, key=lambda item: item[:3])[:limit]]


def works(departments: Sequence[DepartmentGraph], chunks: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The works each chunk is part of; chunks the graph does not have are left out."""
    return {chunk: d.works_of(chunk) for d in departments for chunk in chunks if chunk in d}
