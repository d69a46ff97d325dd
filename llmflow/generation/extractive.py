"""Answering without an LLM: quote the sentences that answer the question best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from llmflow.generation.question import Question, match
from llmflow.generation.units import Unit, UnitKind, split_units, tokens
from llmflow.schema import Candidate

_WANTED_BOOST = 1.5
_CONTEXT_SHARE = 0.5
_ENOUGH = 0.6
_SAME = 0.8


@dataclass(frozen=True, slots=True)
class Quote:
    """A unit of a candidate; ``number`` is the candidate's place in the result, from 1."""

    number: int
    candidate: Candidate
    unit: Unit
    score: float


def select_quotes(question: Question, candidates: Sequence[Candidate], max_sentences: int) -> list[Quote]:
    """Best units first by passage, then in reading order."""
    scored = _score(question, candidates)
    scored.sort(key=lambda quote: -quote.score)
    chosen: list[Quote] = []
    for quote in scored:
        if len(chosen) == max_sentences or quote.score < _ENOUGH * scored[0].score:
            break
        if not any(_same(quote.unit, other.unit) for other in chosen):
            chosen.append(quote)
    first = {quote.number: index for index, quote in reversed(list(enumerate(chosen)))}
    return sorted(chosen, key=lambda quote: (first[quote.number], quote.unit.start))


def _score(question, candidates):
    units = split_units([c.chunk.text for c in candidates])
    contexts = tokens([" ".join([c.chunk.title, *c.chunk.section_path]) for c in candidates])
    everything = [u for us in units for u in us]
    weights = {}
    for term, weight in question.terms.items():
        df = sum(match(term, u.grams, u.words) for u in everything)
        weights[term] = weight * math.log(1 + len(everything) / (df + 0.5))
    total = sum(weights.values()) or 1.0
    best = max((c.score for c in candidates), default=1) or 1
    quotes = []
    for number, (candidate, us, (cg, cw)) in enumerate(zip(candidates, units, contexts, strict=True), 1):
        heading = (cg, cw)
        previous = None
        prior = 0.6 + 0.4 * candidate.score / best
        for u in us:
            if u.kind in (UnitKind.HEADING, UnitKind.QUESTION):
                if u.kind is UnitKind.HEADING:
                    heading = (cg | u.grams, cw | u.words)
                previous = u
                continue
            score = 0.0
            for term, weight in weights.items():
                own = match(term, u.grams, u.words)
                around = match(term, *heading)
                if previous is not None:
                    around = max(around, match(term, previous.grams, previous.words))
                share = 0.9 if previous is not None and previous.kind is UnitKind.QUESTION else _CONTEXT_SHARE
                score += weight * max(own, share * around)
            score = score / total * prior
            if question.wanted is not None and question.wanted.search(candidate.chunk.text[u.start : u.end]):
                score *= _WANTED_BOOST
            quotes.append(Quote(number, candidate, u, score))
            previous = u
    return quotes


def _same(one: Unit, other: Unit) -> bool:
    union = len(one.grams | other.grams)
    return not union or len(one.grams & other.grams) / union >= _SAME
