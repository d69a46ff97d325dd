"""Checks the sentences of a generated answer against the passages they cite.

The check is lexical: most content words of a sentence and all its numbers must stand in the
cited passage. It finds invented facts, figures and sources; it does not understand negation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from llmflow import korean
from llmflow.generation import numerals
from llmflow.generation.phrases import UNSUPPORTED, Language
from llmflow.generation.question import is_content, match
from llmflow.generation.sentences import MARKER
from llmflow.generation.units import Unit, split_units, tokens
from llmflow.generation.window import Passage
from llmflow.schema import Candidate, Citation

_MARKERS = re.compile(rf"\s*{MARKER}", re.IGNORECASE)
_LIST_LEAD = re.compile(r"^\s*(?:[-*•>#\s]|\d{1,3}[.)]\s)*")
_NUMBER_WEIGHT = 2.0


@dataclass(frozen=True, slots=True)
class CheckedSentence:
    """A sentence after the check.

    ``lead`` and ``body`` are its white space and its words without markers; ``marks`` is
    what follows it: citations, or the mark of the unsupported. ``dropped`` are cited
    numbers that were removed, ``compared`` is False where sentence and passage are in
    different languages, so that only numbers and names could be checked.
    """

    lead: str
    body: str
    marks: str
    citations: tuple[Citation, ...] = ()
    unsupported: bool = False
    dropped: tuple[int, ...] = ()
    compared: bool = True


def source_text(candidate: Candidate) -> str:
    """The words around a chunk: document name, title and section path."""
    chunk = candidate.chunk
    return "\n".join(dict.fromkeys((PurePath(chunk.document_name).stem, chunk.title, *chunk.section_path)))


def cite(number: int, candidate: Candidate, start: int, end: int) -> Citation:
    """A citation of ``candidate.chunk.text[start:end]``."""
    chunk = candidate.chunk
    return Citation(
        number, chunk.id, chunk.document_id, chunk.document_name, chunk.page, chunk.text[start:end], (start, end)
    )


class CitationChecker:
    """Checks sentences against the passages that were before the LLM.

    Args:
        support_threshold: share of a sentence's content words a passage must hold.
    """

    def __init__(self, passages: Sequence[Passage], language: Language, support_threshold: float) -> None:
        self._sources = {passage.number: _Source(passage) for passage in passages}
        for source, units in zip(
            self._sources.values(), split_units([passage.text for passage in passages]), strict=True
        ):
            source.units = units
        self._language: Language = language
        self._threshold = support_threshold

    def check(self, sentence: str) -> CheckedSentence:
        """Check one sentence with its markers; a piece that states nothing passes as it is."""
        stripped = sentence.lstrip()
        lead = sentence[: len(sentence) - len(stripped)]
        body = _MARKERS.sub("", stripped).rstrip()
        cited = list(dict.fromkeys(int(n) for m in _MARKERS.findall(stripped) for n in re.findall(r"\d+", m)))
        claim = _Claim(body)
        known = [number for number in cited if number in self._sources]
        if claim.states_nothing:
            return CheckedSentence(lead, body, "", dropped=tuple(number for number in cited if number not in known))
        used = self._supporting(claim, known)
        if not used:
            mark = f" {UNSUPPORTED[self._language]}"
            return CheckedSentence(lead, body, mark, unsupported=True, dropped=tuple(cited))
        return CheckedSentence(
            lead,
            body,
            " " + "".join(f"[{number}]" for number in used),
            tuple(self._cite(number, claim) for number in used),
            dropped=tuple(number for number in cited if number not in used),
            compared=all(self._sources[number].compared(claim) for number in used),
        )

    def _supporting(self, claim: _Claim, cited: list[int]) -> list[int]:
        """The cited passages that bear the claim out, alone or together, else the best other one."""
        alone = [number for number in cited if self._supports(claim, [number])]
        if alone:
            return alone
        if len(cited) > 1 and self._supports(claim, cited):
            return cited
        # Without the LLM's word for it, numbers alone are no reason to name a passage.
        others = [
            number
            for number, source in self._sources.items()
            if source.compared(claim) and self._supports(claim, [number])
        ]
        return [max(others, key=lambda number: self._sources[number].share(claim))] if others else []

    def _supports(self, claim: _Claim, numbers: list[int]) -> bool:
        sources = [self._sources[number] for number in numbers]
        if numerals.missing(claim.numbers, "\n".join(source.everything for source in sources)):
            return False
        words = [word for word in claim.words if any(source.comparable(word) for source in sources)]
        if not words:
            return bool(claim.words or claim.numbers)
        held = sum(max(source.holds(word) for source in sources) for word in words)
        return held / len(words) >= self._threshold

    def _cite(self, number: int, claim: _Claim) -> Citation:
        source = self._sources[number]
        passage = source.passage
        best = max(source.units, key=lambda unit: _overlap(claim, unit, passage.text), default=None)
        start, end = (best.start, best.end) if best else (0, len(passage.text))
        return cite(number, passage.candidate, passage.start + start, passage.start + end)


class _Claim:
    """What a sentence states: content words and numbers."""

    def __init__(self, body: str) -> None:
        text = _LIST_LEAD.sub("", body)
        (_, words), *_ = tokens([text])
        self.words = [word for word in words if is_content(word) and not word[0].isdigit()]
        self.numbers = numerals.values(text)
        introduces = body.lstrip().startswith("#") or body.rstrip("*_ ").endswith((":", "："))
        self.states_nothing = not self.numbers and (introduces or not self.words)


class _Source:
    """A passage ready for comparison."""

    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        self.units: list[Unit] = []
        self.everything = f"{source_text(passage.candidate)}\n{passage.text}"
        ((self.grams, self.words),) = tokens([self.everything])
        self.korean = korean.has_hangul(passage.text)

    def comparable(self, word: str) -> bool:
        """Whether this passage could hold the word: Korean words need Korean text."""
        return self.korean or not korean.has_hangul(word)

    def holds(self, word: str) -> float:
        return match(word, self.grams, self.words)

    def share(self, claim: _Claim) -> float:
        return sum(self.holds(word) for word in claim.words) / max(len(claim.words), 1)

    def compared(self, claim: _Claim) -> bool:
        comparable = sum(self.comparable(word) for word in claim.words)
        return 2 * comparable >= len(claim.words)


def _overlap(claim: _Claim, unit: Unit, text: str) -> float:
    quote = text[unit.start : unit.end]
    words = sum(match(word, unit.grams, unit.words) for word in claim.words)
    numbers = len(claim.numbers) - len(numerals.missing(claim.numbers, quote))
    # Of two units that hold the same, the shorter one is the better quote.
    return words + _NUMBER_WEIGHT * numbers - len(quote) / 10_000
