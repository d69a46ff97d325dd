"""Long passages, cut to what answers the question."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from llmflow.korean import analyze, count_tokens
from llmflow.pii.entities import PLACEHOLDER

CUT: Final = "…"
_MARKS_TOKENS = 2
# A word without white space may be a line of characters; what masking left behind stays whole.
_UNITS = re.compile(rf"{PLACEHOLDER.pattern}|\S", re.DOTALL)
_WORDS = re.compile(r"\S+\s*")


def cut(query: str, passages: Sequence[str], tokens: int) -> list[str]:
    """Each passage as it is, or the run of whole sentences in it that says most of the question.

    What a sentence says is the words and character 2-grams it shares with the question, each
    weighted by its rarity in the passage. Sentences that are too long themselves are cut between
    words. What was left out before and after shows as "…". A short first line, the passage's titles,
    always stays.

    Args:
        tokens: most of a passage, as :func:`llmflow.korean.count_tokens` counts, at least 16.
    """
    texts = list(passages)
    long = [index for index, text in enumerate(texts) if count_tokens(text) > tokens]
    if not long:
        return texts
    headings = [_heading(texts[index], tokens) for index in long]
    bodies = [texts[index][len(heading) :] for index, heading in zip(long, headings, strict=True)]
    question, *analyzed = analyze([query, *bodies])
    wanted = frozenset(term for sentence in question for term in (*sentence.grams, *sentence.words))
    for index, heading, body, sentences in zip(long, headings, bodies, analyzed, strict=True):
        spans = [(sentence.start, sentence.end) for sentence in sentences]
        left = tokens - _MARKS_TOKENS - count_tokens(heading)
        texts[index] = heading + (body if count_tokens(body) <= left else _best_run(body, spans, wanted, left))
    return texts


def _heading(text: str, tokens: int) -> str:
    """The first line with its end, where it takes no more than a quarter of the tokens; else nothing."""
    line, end, rest = text.partition("\n")
    return line + end if rest.strip() and count_tokens(line) <= tokens // 4 else ""


def _best_run(text: str, spans: Sequence[tuple[int, int]], wanted: frozenset[str], tokens: int) -> str:
    pieces = [piece for start, end in spans for piece in _pieces(text, start, end, tokens // 2)]
    said = [
        frozenset(term for sentence in sentences for term in (*sentence.grams, *sentence.words)) & wanted
        for sentences in analyze(text[start:end] for start, end in pieces)
    ]
    common = Counter(term for terms in said for term in terms)
    sizes = [count_tokens(text[start:end]) for start, end in pieces]
    runs = []
    for first in range(len(pieces)):
        last, size, terms = first, sizes[first], said[first]
        while last + 1 < len(pieces) and size + sizes[last + 1] <= tokens:
            last += 1
            size += sizes[last]
            terms = terms | said[last]
        runs.append((math.fsum(math.log1p(len(pieces) / common[term]) for term in terms), first, last))
    most = max(score for score, _, _ in runs)
    equal = [run for run in runs if run[0] == most]
    # The middle one has text on both sides of the match.
    _, first, last = equal[len(equal) // 2]
    start, end = pieces[first][0], pieces[last][1]
    before, after = text[:start].strip(), text[end:].strip()
    return f"{f'{CUT} ' if before else ''}{text[start:end].strip()}{f' {CUT}' if after else ''}"


def _pieces(text: str, start: int, end: int, tokens: int) -> list[tuple[int, int]]:
    """The span, or several of at most ``tokens`` that make it up."""
    if count_tokens(text[start:end]) <= tokens:
        return [(start, end)]
    pieces: list[tuple[int, int]] = []
    begin, size = start, 0
    for unit_start, unit_end in _units(text, start, end, tokens):
        unit = count_tokens(text[unit_start:unit_end])
        if size and size + unit > tokens:
            pieces.append((begin, unit_start))
            begin, size = unit_start, 0
        size += unit
    return [*pieces, (begin, end)]


def _units(text: str, start: int, end: int, tokens: int) -> list[tuple[int, int]]:
    """Words, and the characters of words longer than ``tokens``."""
    units: list[tuple[int, int]] = []
    for word in _WORDS.finditer(text, start, end):
        if count_tokens(word.group()) <= tokens:
            units.append(word.span())
        else:
            units += (unit.span() for unit in _UNITS.finditer(text, word.start(), word.end()))
    return units
