"""Quotable units of a passage: sentences, list items and table rows with exact spans."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from llmflow import korean

_TABLE_LINE = re.compile(r"\s*\|.*\|\s*$")
_TABLE_RULE = re.compile(r"\s*\|(?:\s*:?-+:?\s*\|)+\s*$")
_CELL_BORDER = re.compile(r"(?<!\\)\|")
_ITEM = re.compile(
    r"\s*(?:[-*•·ㆍ▪■□○●◦※→☞]|\(?\d{1,3}[.)]\s|[가-하][.)]\s|[①-⑳]|제\d+[조항장절](?:의\d+)?[(\s]|#{1,6}\s"
    r"|(?:Q|A|질문|답변|질의|문|답)\s*\d*\s*[.:)])"
)
_TERMINAL = re.compile(r"[.!?。:;][\"'”’)\]]*\s*$")
_ITEM_LEAD = re.compile(r"\s*(?:[-*•·ㆍ▪■□○●◦※→☞]+\s*|#{1,6}\s+)?")
_QUESTION_LEAD = re.compile(r"\s*(?:[-*#]+\s*)?\**\s*(?:Q|질문|질의|문)\s*\d*\s*[.:)]")
_ANSWER_LEAD = re.compile(r"\s*\**\s*(?:A|답변|답)\s*\d*\s*[.:)]\s*\**\s*")
_QUESTION_END = re.compile(r"\?[\"'”’)\]*]*\s*$")
_WRAP_WIDTH = 25
"""A line at least this wide that ends without punctuation goes on in the next one."""
_HEADING_WIDTH = 60


class UnitKind(StrEnum):
    """What a unit is. Headings and questions introduce others and answer nothing themselves."""

    SENTENCE = "sentence"
    ROW = "row"
    HEADING = "heading"
    QUESTION = "question"


@dataclass(frozen=True, slots=True)
class Unit:
    """``text[start:end]`` of a passage with its token streams (see :mod:`llmflow.korean`).

    ``shown`` is how it reads on its own: white space folded, list marks gone, a table row
    as "header: value" pairs (whose tokens hold those of the header).
    """

    start: int
    end: int
    kind: UnitKind
    shown: str
    grams: frozenset[str]
    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Block:
    """A stretch of lines that is analysed as one text; ``header`` are a table's column names."""

    start: int
    end: int
    header: tuple[str, ...] | None = None


def split_units(texts: Sequence[str]) -> list[list[Unit]]:
    """The units of each text, in order; one pass of the tagger over all texts."""
    blocks = [_blocks(text) for text in texts]
    analysed = korean.analyze(
        text[block.start : block.end] if block.header is None else _shown_row(text, block)
        for text, found in zip(texts, blocks, strict=True)
        for block in found
    )
    return [
        [unit for block in found for unit in _units(text, block, next(analysed))]
        for text, found in zip(texts, blocks, strict=True)
    ]


def tokens(texts: Iterable[str]) -> list[tuple[frozenset[str], frozenset[str]]]:
    """Grams and words of each text as a whole."""
    return [
        (
            frozenset(gram for sentence in found for gram in sentence.grams),
            frozenset(word for sentence in found for word in sentence.words),
        )
        for found in korean.analyze(texts)
    ]


def _blocks(text: str) -> list[_Block]:
    lines: list[tuple[int, int]] = []
    position = 0
    for line in text.splitlines(keepends=True):
        lines.append((position, position + len(line)))
        position += len(line)
    blocks: list[_Block] = []
    header: tuple[str, ...] | None = None
    goes_on = False
    for index, (start, end) in enumerate(lines):
        line = text[start:end]
        if _TABLE_LINE.match(line):
            following = text[slice(*lines[index + 1])] if index + 1 < len(lines) else ""
            if _TABLE_RULE.match(following):
                header = cells(line)
            elif not _TABLE_RULE.match(line):
                blocks.append(_Block(start, end, header or ()))
            goes_on = False
            continue
        header = None
        if not line.strip():
            goes_on = False
        elif goes_on and not _ITEM.match(line):
            blocks[-1] = _Block(blocks[-1].start, end)
        else:
            blocks.append(_Block(start, end))
        goes_on = len(line.strip()) >= _WRAP_WIDTH and not _TERMINAL.search(line)
    return blocks


def _units(text: str, block: _Block, found: list[korean.Sentence]) -> Iterable[Unit]:
    if block.header is not None:
        start, end = _trimmed(text, block.start, block.end)
        grams = frozenset(gram for sentence in found for gram in sentence.grams)
        words = frozenset(word for sentence in found for word in sentence.words)
        yield Unit(start, end, UnitKind.ROW, _shown_row(text, block), grams, words)
        return
    for sentence in found:
        start, end = _trimmed(text, block.start + sentence.start, block.start + sentence.end)
        quote = text[start:end]
        if not quote:
            continue
        kind = _kind(quote, whole_block=len(found) == 1)
        if kind is UnitKind.SENTENCE and (lead := _ANSWER_LEAD.match(quote)) and lead.end() < len(quote):
            start += lead.end()
        shown = " ".join(_ITEM_LEAD.sub("", text[start:end], count=1).split())
        yield Unit(start, end, kind, shown, frozenset(sentence.grams), frozenset(sentence.words))


def _kind(quote: str, *, whole_block: bool) -> UnitKind:
    if _QUESTION_END.search(quote) or _QUESTION_LEAD.match(quote):
        return UnitKind.QUESTION
    if quote.startswith("#"):
        return UnitKind.HEADING
    short = len(quote) <= _HEADING_WIDTH and not re.search(r"[.!。]$|[다요음임함됨]$|\d", quote)
    if whole_block and short and not _ITEM_LEAD.match(quote).group().strip():  # type: ignore[union-attr]
        return UnitKind.HEADING
    return UnitKind.SENTENCE


def cells(line: str) -> tuple[str, ...]:
    """The cells of a Markdown table line."""
    return tuple(cell.strip().replace("\\|", "|") for cell in _CELL_BORDER.split(line.strip().strip("|")))


def _shown_row(text: str, block: _Block) -> str:
    header, values = block.header or (), cells(text[block.start : block.end])
    if len(header) != len(values):
        return ", ".join(value for value in values if value)
    return ", ".join(f"{name}: {value}" if name else value for name, value in zip(header, values, strict=True) if value)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
