"""Which lines of a PDF belong together, and what stood between them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import pairwise

from llmflow.ingestion.parsers.pdf_lines import Item, Line, PageTable
from llmflow.ingestion.parsers.pdf_page import Box
from llmflow.ingestion.parsers.structure import LEADER, MARKER

_HANGUL = re.compile(r"[가-힣]")
_HANGUL_RUN = re.compile(r"[가-힣]+")
_LAST_RUN = re.compile(r"[가-힣]+$")
_WORD = re.compile(r"\S+")
_FINAL = re.compile(r"[.!?。:;>\])」』】”\"]\s*$")
_OPEN_DATE = re.compile(r"\b(?:19|20)\d\d\.(?:\s*\d{1,2}\.)?\s*$")
_BRACKETS = (("<", ">"), ("(", ")"), ("[", "]"), ("「", "」"), ("（", "）"))


class Joiner:
    """Decides which lines belong together and whether a space stood where they were cut.

    Korean lines may break inside a word. A space that the writer left at the end of a line
    tells; without one the words of the document tell, and where they do not know the cut
    either, what they say of most other cuts in this document.
    """

    def __init__(self, items: list[Item]) -> None:
        lines = [item for item in items if isinstance(item, Line)]
        self._margins = _right_margins(lines)
        self._pitch = _line_pitch(lines)
        self._words: set[str] = set()
        for line in lines:
            words = _WORD.findall(line.text)
            whole = line.spaced or _FINAL.search(line.text)
            self._words.update(_HANGUL_RUN.findall(" ".join(words[1:] if whole else words[1:-1])))
        for item in items:
            if isinstance(item, PageTable):
                self._words.update(_HANGUL_RUN.findall(" ".join("".join(parts) for parts in item.table.texts)))
        self._stems = {word[:length] for word in self._words for length in range(2, len(word))}
        verdicts = [
            self._one_word(line.text, after.text)
            for line, after in pairwise(lines)
            if not line.spaced and _both_hangul(line.text, after.text) and self._full(line, after)
        ]
        self._cuts_words = verdicts.count(True) > verdicts.count(False)

    def continues(self, line: Line, after: Line) -> bool:
        """Whether ``after`` goes on with the paragraph of ``line``."""
        if abs(line.size - after.size) > 0.6 or not self._full(line, after):
            return False
        if LEADER.search(line.text):
            return False
        follows = _FINAL.search(line.text) or not after.text.startswith("제")
        if MARKER.match(after.text) and follows and not _is_open(line.text):
            return False
        drop = after.box[1] - line.box[1]
        if line.page != after.page or drop <= 0:
            return not _FINAL.search(line.text)
        pitch = self._pitch.get(line.size, 1.6 * line.size)
        return drop <= max(1.35 * pitch, 1.3 * line.size) and drop <= 3 * max(line.size, 6)

    def _full(self, line: Line, after: Line) -> bool:
        # A line is full when the first word of the next one had no room on it.
        first = _WORD.match(after.text)
        width = after.box[2] - after.box[0]
        letters = min(len(first.group()) if first else 1, 8 if not _HANGUL.search(after.text) else 5)
        need = width * letters / max(len(after.text), 1)
        return line.box[2] + need > self._margins[id(line)] - 0.5 * line.size

    def join(self, lines: list[Line]) -> str:
        """The text of a paragraph."""
        text = lines[0].text
        for line, after in pairwise(lines):
            text = self._glue(text, after.text, line.spaced)
        return text

    def join_cell(self, text: str) -> str:
        """The text of a table cell, its lines joined unless they are items of a list."""
        lines = [line for line in text.split("\n") if line.strip()]
        joined = lines[0].strip() if lines else ""
        for line, after in pairwise(lines):
            if MARKER.match(after.strip()):
                joined += "\n" + after.strip()
            else:
                joined = self._glue(joined, after.strip(), line.endswith(" "))
        return joined

    def _glue(self, text: str, after: str, spaced: bool) -> str:
        if text.endswith("-") and text[-2:-1].isalpha() and after[:1].islower():
            return text[:-1] + after
        if not spaced and _both_hangul(text, after):
            verdict = self._one_word(text, after)
            spaced = not (self._cuts_words if verdict is None else verdict)
            return text + (" " if spaced else "") + after
        return f"{text} {after}"

    def _one_word(self, text: str, after: str) -> bool | None:
        """Whether the cut went through a word; None if the document's words do not tell."""
        head, tail = _LAST_RUN.findall(text)[0], _HANGUL_RUN.findall(after)[0]
        joined = head + tail in self._words or (head + tail)[: len(head) + 2] in self._stems
        apart = head in self._words and (tail in self._words or tail[:-1] in self._stems)
        return None if joined == apart else joined


def _both_hangul(text: str, after: str) -> bool:
    return bool(_HANGUL.match(text[-1:]) and _HANGUL.match(after[:1]))


def _is_open(text: str) -> bool:
    """Whether a bracket or a date is not closed at the end of ``text``."""
    return bool(_OPEN_DATE.search(text)) or any(text.rfind(a) > text.rfind(b) for a, b in _BRACKETS)


def _right_margins(lines: list[Line]) -> dict[int, float]:
    """For each line (by id) the right edge of its column on its page."""
    by_page: dict[int, list[Line]] = defaultdict(list)
    for line in lines:
        by_page[line.page].append(line)
    margins: dict[int, float] = {}
    for page in by_page.values():
        for line in page:
            beside = [
                other.box[2]
                for other in page
                if abs(other.size - line.size) <= 1 and _overlap(other.box, line.box) > 0.5
            ]
            margins[id(line)] = max(beside, default=line.box[2])
    return margins


def _overlap(a: Box, b: Box) -> float:
    return (min(a[2], b[2]) - max(a[0], b[0])) / max(min(a[2] - a[0], b[2] - b[0]), 1)


def _line_pitch(lines: list[Line]) -> dict[float, float]:
    """Font size -> usual distance from line to line."""
    steps: dict[float, Counter[float]] = defaultdict(Counter)
    for line, after in pairwise(lines):
        step = round(after.box[1] - line.box[1], 0)
        if line.page == after.page and line.size == after.size and 0 < step <= 3 * line.size:
            steps[line.size][step] += 1
    return {size: counts.most_common(1)[0][0] for size, counts in steps.items()}
