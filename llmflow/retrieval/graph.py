"""The graph in a search: chunks about what the question names, and what the best chunks lead to.

Measured on Korean statutes and HotpotQA: matching names and one hop along references help, the way
back along references, a second hop (personalised PageRank, as in HippoRAG, Gutierrez et al. 2024),
co-citation, neighbours in the text and neighbours in the embedder's space do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import fsum

import numpy as np
import numpy.typing as npt

from llmflow.korean import has_hangul
from llmflow.retrieval.analysis import AnalyzedQuery
from llmflow.schema import Candidate, Fact, Scope
from llmflow.stores.graph import GraphStore
from llmflow.stores.index import LegScores, View

HEAD = 100
"""Rows that give to others; a row gives by the square of its score."""
_REFERENCES = 0.75
"""What references carry beside the 1 of works."""
_HALF = 6.0
"""How many equally good rows of the same work make half of the support of endlessly many."""
MAX_FACTS = 5
_RELATIONS = {
    "refers_to": ("참조한다", "refers to"),
    "defined_in": ("정의", "is defined in"),
    "subordinate_to": ("상위 법령", "is subordinate to"),
}

Floats = npt.NDArray[np.float32]


def graph_leg(view: View, graph: GraphStore, scope: Scope, analyzed: AnalyzedQuery) -> Callable[[], LegScores]:
    """Chunks about what the question names: their heading, their title or a term they define."""
    terms = frozenset(term for sentence in analyzed.text.body for term in sentence.grams)

    def look_up() -> LegScores:
        scores = np.zeros(len(view.live), dtype=np.float32)
        names: dict[int, str] = {}
        for found in graph.named(scope, terms):
            for row in view.rows_of_chunk(found.chunk_id):
                scores[row], names[row] = found.score, found.name
        return LegScores(scores, 1.0, lambda row: f"named: {names[row]}" if row in names else None)

    return look_up


def spread(view: View, graph: GraphStore, scope: Scope, order: npt.NDArray[np.int64], scores: Floats) -> LegScores:
    """What the head of the fused rows gives to others: along references, and within a work.

    With x = score² / best score for each of the best 100 rows: a row shares .75 x among the chunks it
    refers to, and a row whose work has k = sum of the others' x / best score gets best score · k / (k + 6).

    Args:
        order: rows by falling score.
        scores: of every row, (rows,).
    """
    given = np.zeros(len(scores), dtype=np.float32)
    if not len(order) or scores[order[0]] <= 0:
        return LegScores(given, 1.0)
    chunk_ids = _chunk_ids(view, order)
    ranked = scores[order].astype(float).tolist()
    # Rows as good as the last of the head belong to it, so that the order of ingestion makes no difference.
    head = sum(score >= ranked[min(HEAD, len(ranked)) - 1] for score in ranked)
    best = ranked[0]
    weights = {chunk: score**2 / best for chunk, score in zip(chunk_ids[:head], ranked, strict=False)}
    works = graph.works(scope, chunk_ids)
    members: dict[str, list[float]] = {}
    for chunk, weight in weights.items():
        for work in works.get(chunk, ()):
            members.setdefault(work, []).append(weight)
    support = {work: fsum(given_by) for work, given_by in members.items()}
    for chunk, row in zip(chunk_ids, order.tolist(), strict=True):
        own = weights.get(chunk, 0.0)
        others = sum(support.get(work, 0.0) - own for work in works.get(chunk, ()))
        if others > 0:
            given[row] = best * others / (others + _HALF * best)
    givers: dict[int, str] = {}
    for chunk, (received, giver) in graph.referred(scope, weights).items():
        for row in view.rows_of_chunk(chunk):
            given[row] += _REFERENCES * received
            givers[row] = giver
    return LegScores(given, 1.0, lambda row: f"referred to by chunk {givers[row]}" if row in givers else None)


def facts(graph: GraphStore, scope: Scope, candidates: Sequence[Candidate]) -> tuple[Fact, ...]:
    """At most five relations written in the candidates, for the prompt, in plain words."""
    found = graph.facts(scope, [candidate.chunk.id for candidate in candidates], MAX_FACTS)
    return tuple(Fact(fact.subject, _in_words(fact), fact.object, fact.chunk_id) for fact in found)


def _in_words(fact: Fact) -> str:
    korean, english = _RELATIONS.get(fact.relation, (fact.relation, fact.relation))
    return korean if has_hangul(fact.subject + fact.object) else english


def _chunk_ids(view: View, rows: npt.NDArray[np.int64]) -> list[str]:
    """The chunks of rows, as :meth:`View.chunk_id`, all at once."""
    offsets = list(accumulate((len(segment.ids) for segment in view.segments), initial=0))
    numbers = np.searchsorted(offsets, rows, side="right") - 1
    return [
        view.segments[number].ids[row - offsets[number]]
        for number, row in zip(numbers.tolist(), rows.tolist(), strict=True)
    ]
