"""Answering without an LLM: quote the sentences that answer the question best."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass

from llmflow.generation.citations import source_text
from llmflow.generation.question import Question, match
from llmflow.generation.units import Unit, UnitKind, split_units, tokens
from llmflow.schema import Candidate

_WANTED_BOOST = 1.5
_CONTEXT_SHARE = 0.5
_QUESTION_SHARE = 0.9
_PRIOR = 0.4
_ENOUGH = 0.6
_ENOUGH_ROW = 0.85
"""Rows of a table share the words of its header, so a row must come closer to the best."""
_SAME = 0.8


@dataclass(frozen=True, slots=True)
class Quote:
    """A unit of a candidate; ``number`` is the candidate's place in the result, from 1."""

    number: int
    candidate: Candidate
    unit: Unit
    score: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the candidates hold for a question.

    ``coverage`` is the weighted share of the question's content terms in the best single
    passage, in [0, 1]. ``quotes`` are in the order in which they read best.
    """

    quotes: tuple[Quote, ...]
    coverage: float


@dataclass(frozen=True, slots=True)
class _Text:
    grams: Set[str]
    words: Set[str]

    def match(self, term: str) -> float:
        return match(term, self.grams, self.words)


def gather_evidence(question: Question, candidates: Sequence[Candidate], max_sentences: int) -> Evidence:
    """The quotes that answer a question, at most ``max_sentences``, none twice."""
    units = split_units([candidate.chunk.text for candidate in candidates])
    sources = [_Text(*pair) for pair in tokens([source_text(candidate) for candidate in candidates])]
    weights = _weights(question, [unit for found in units for unit in found])
    best = max((candidate.score for candidate in candidates), default=0.0) or 1.0
    quotes: list[Quote] = []
    coverage = 0.0
    for number, (candidate, found, source) in enumerate(zip(candidates, units, sources, strict=True), 1):
        coverage = max(coverage, _coverage(question, found, source))
        prior = 1 - _PRIOR * (1 - candidate.score / best)
        headings = {" ".join(title.split()) for title in (candidate.chunk.title, *candidate.chunk.section_path)}
        for unit, score in _score(weights, found, source, headings):
            if question.wanted and question.wanted.search(candidate.chunk.text[unit.start : unit.end]):
                score *= _WANTED_BOOST
            quotes.append(Quote(number, candidate, unit, score * prior))
    return Evidence(tuple(_select(quotes, max_sentences)), coverage)


def _weights(question: Question, units: Sequence[Unit]) -> dict[str, float]:
    """Weight per term, adding up to 1: the question's own times rarity among the units."""
    raw = {
        term: weight * math.log(1 + len(units) / (sum(match(term, unit.grams, unit.words) for unit in units) + 0.5))
        for term, weight in question.terms.items()
    }
    total = sum(raw.values()) or 1.0
    return {term: weight / total for term, weight in raw.items()}


def _coverage(question: Question, units: Sequence[Unit], source: _Text) -> float:
    grams = frozenset(source.grams).union(*(unit.grams for unit in units))
    words = frozenset(source.words).union(*(unit.words for unit in units))
    held = sum(weight * match(term, grams, words) for term, weight in question.terms.items())
    return held / (sum(question.terms.values()) or 1.0)


def _score(
    weights: dict[str, float], units: Sequence[Unit], source: _Text, headings: Set[str]
) -> list[tuple[Unit, float]]:
    """Share of the question a unit holds itself or, counting less, the text that introduces it."""
    scored: list[tuple[Unit, float]] = []
    heading = source
    before: Unit | None = None
    asked: Unit | None = None
    for unit in units:
        if unit.kind is UnitKind.QUESTION:
            asked = unit
        elif unit.kind is UnitKind.HEADING or any(unit.shown in title for title in headings):
            heading, asked = _Text(source.grams | unit.grams, source.words | unit.words), None
        else:
            score = 0.0
            for term, weight in weights.items():
                around = heading.match(term)
                if before is not None:
                    around = max(around, match(term, before.grams, before.words))
                share = _CONTEXT_SHARE * around
                if asked is not None:
                    share = max(share, _QUESTION_SHARE * match(term, asked.grams, asked.words))
                score += weight * max(match(term, unit.grams, unit.words), share)
            scored.append((unit, score))
        # A row introduces nothing.
        before = None if unit.kind is UnitKind.ROW else unit
    return scored


def _select(quotes: list[Quote], max_sentences: int) -> list[Quote]:
    ranked = sorted(quotes, key=lambda quote: -quote.score)
    best_row: dict[int, float] = {}
    chosen: list[Quote] = []
    for quote in ranked:
        if len(chosen) == max_sentences or quote.score < _ENOUGH * ranked[0].score:
            break
        if quote.unit.kind is UnitKind.ROW:
            best = best_row.setdefault(quote.number, quote.score)
            if quote.score < _ENOUGH_ROW * best:
                continue
        if not any(_same(quote.unit, other.unit) for other in chosen):
            chosen.append(quote)
    place: dict[int, int] = {}
    for index, quote in enumerate(chosen):
        place.setdefault(quote.number, index)
    return sorted(chosen, key=lambda quote: (place[quote.number], quote.unit.start))


def _same(one: Unit, other: Unit) -> bool:
    union = len(one.grams | other.grams)
    return union == 0 or len(one.grams & other.grams) / union >= _SAME
