"""From characters to lines, and from lines to paragraphs and headings."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from llmflow.ingestion.parsers.pdf_page import Box, Page
from llmflow.ingestion.parsers.pdf_tables import Table, find_tables
from llmflow.ingestion.parsers.structure import MARKER
from llmflow.schema import Element, ElementType

_HANGUL = re.compile(r"[가-힣]")
_WORD = re.compile(r"\S+")
_FINAL = re.compile(r"[.!?。:;>\])」』】”\"]\s*$")
_PAGE_NUMBER = re.compile(r"^[\s\-–—_|/·.<>\[\]()]*(?:page|p\.?)?\s*\d{1,4}\s*(?:(?:/|of)\s*\d{1,4})?[\s\-–—_|.<>\[\]()]*$", re.I)
_ZONE = 0.12
_MIN_REPEATS = 3
_REPEAT_SHARE = 0.2
_HEADING_SIZE = 1.15
_MAX_HEADING = 100


@dataclass(slots=True)
class Line:
    """A line of text; ``spaced`` tells that it ends with a space of its own."""

    page: int
    text: str = ""
    box: Box = (1e9, 1e9, -1e9, -1e9)
    size: float = 0.0
    bold: bool = False
    spaced: bool = False
    weights: Counter[tuple[float, bool]] = field(default_factory=Counter)

    def add(self, text: str, box: Box | None, size: float, bold: bool) -> None:
        self.text += text
        if box is not None and not text.isspace():
            x0, top, x1, bottom = self.box
            self.box = min(x0, box[0]), min(top, box[1]), max(x1, box[2]), max(bottom, box[3])
            self.weights[round(size * 2) / 2, bold] += 1

    def close(self) -> bool:
        """Settle size and weight; False if there is nothing to read on the line."""
        self.spaced = self.text.endswith((" ", "\u00a0"))
        self.text = self.text.strip()
        if not self.text or not self.weights:
            return False
        self.size, self.bold = self.weights.most_common(1)[0][0]
        return True


@dataclass(slots=True)
class PageTable:
    """A table in its place among the lines."""

    page: int
    table: Table


Item = Line | PageTable


def lines_of(page: Page) -> list[Item]:
    """Lines and tables of a page in content order; text inside a table is in the table only."""
    tables = find_tables(page)
    items: list[Item] = []
    met: set[int] = set()
    line = Line(page.number)
    target: list[str] | None = None
    for char in page.chars:
        if char.box is None:
            if char.text == "\n" and target is None:
                line = _next_line(items, line)
            elif target is not None:
                target.append(char.text)
            else:
                line.add(char.text, None, 0, False)
            continue
        x, y = (char.box[0] + char.box[2]) / 2, (char.box[1] + char.box[3]) / 2
        owner = next((n for n, t in enumerate(tables) if t.box[0] <= x <= t.box[2] and t.box[1] <= y <= t.box[3]), None)
        cell = tables[owner].cell_at(x, y) if owner is not None else None
        if owner is None or cell is None:
            if target is not None:
                line, target = _next_line(items, line), None
            line.add(char.text, char.box, char.size, char.bold)
            continue
        if owner not in met:
            met.add(owner)
            line = _next_line(items, line)
            items.append(PageTable(page.number, tables[owner]))
        if target is not tables[owner].texts[cell]:
            target = tables[owner].texts[cell]
            if target:
                target.append("\n")
        target.append(char.text)
    _next_line(items, line)
    return items


def _next_line(items: list[Item], line: Line) -> Line:
    if line.close():
        items.append(line)
    return Line(line.page)


def drop_repeats(pages: list[tuple[Page, list[Item]]]) -> tuple[list[Item], list[str]]:
    """The items of all pages without running headers, footers and page numbers, and what those said."""
    seen: dict[str, set[int]] = defaultdict(set)
    zoned: dict[int, str] = {}
    for page, items in pages:
        for line in items:
            if isinstance(line, Line) and (line.box[3] < _ZONE * page.height or line.box[1] > (1 - _ZONE) * page.height):
                key = re.sub(r"\d+", "#", "".join(line.text.split()))
                zoned[id(line)] = key
                seen[key].add(page.number)
    least = max(_MIN_REPEATS, _REPEAT_SHARE * len(pages))
    kept: list[Item] = []
    dropped: dict[str, str] = {}
    for _, items in pages:
        for item in items:
            key = zoned.get(id(item))
            if isinstance(item, Line) and key is not None:
                if _PAGE_NUMBER.match(item.text):
                    continue
                if len(seen[key]) >= least:
                    dropped.setdefault(key, item.text)
                    continue
            kept.append(item)
    return kept, list(dropped.values())


def to_elements(items: list[Item]) -> list[Element]:
    """Paragraphs, headings and tables."""
    lines = [item for item in items if isinstance(item, Line)]
    body = _body_size(lines)
    sizes = sorted({line.size for line in lines if line.size >= _HEADING_SIZE * body}, reverse=True)
    bold_body = sum(len(line.text) for line in lines if line.bold) > 0.5 * sum(len(line.text) for line in lines)
    joiner = _Joiner(items)

    def level(line: Line) -> int | None:
        if len(line.text) > _MAX_HEADING or not any(character.isalpha() for character in line.text):
            return None
        if line.size >= _HEADING_SIZE * body:
            return min(sizes.index(line.size) + 1, 3)
        return 4 if line.bold and not bold_body and not line.text.endswith((".", ",", "다", ";")) else None

    found: list[Element] = []
    paragraph: list[Line] = []

    def close() -> None:
        if paragraph:
            depth = level(paragraph[0]) if sum(len(line.text) for line in paragraph) <= _MAX_HEADING else None
            kind = ElementType.NARRATIVE_TEXT if depth is None else ElementType.TITLE
            same_page = [line.box for line in paragraph if line.page == paragraph[0].page]
            found.append(Element(kind, joiner.join(paragraph), paragraph[0].page, _union(same_page), depth))
            paragraph.clear()

    for item in items:
        if isinstance(item, PageTable):
            close()
            texts = [joiner.join_cell("".join(parts)) for parts in item.table.texts]
            found += item.table.elements(item.page, texts)
            continue
        if paragraph and not (level(paragraph[-1]) == level(item) and joiner.continues(paragraph[-1], item)):
            close()
        paragraph.append(item)
    close()
    return found


def _body_size(lines: Iterable[Line]) -> float:
    weights: Counter[float] = Counter()
    for line in lines:
        weights[line.size] += len(line.text)
    return weights.most_common(1)[0][0] if weights else 10.0


def _union(boxes: list[Box]) -> Box:
    x0, top, x1, bottom = zip(*boxes, strict=True)
    return min(x0), min(top), max(x1), max(bottom)


class _Joiner:
    """Decides which lines belong together and whether a space stood where they were cut.

    Korean lines may break inside a word. Some writers leave the space at the end of a
    line that ends with a word: there its absence tells. Elsewhere the words of the
    document tell: if the two halves together are one of them, they are joined.
    """

    def __init__(self, items: list[Item]) -> None:
        lines = [item for item in items if isinstance(item, Line)]
        self._margins = _right_margins(lines)
        self._pitch = _line_pitch(lines)
        self._words: Counter[str] = Counter()
        wrapped = spaced = 0
        for line in lines:
            words = _WORD.findall(line.text)
            self._words.update(words[1:-1])
            if _HANGUL.match(line.text[-1]) and line.box[2] > self._margins[id(line)] - 3 * line.size:
                wrapped += 1
                spaced += line.spaced
        self._trust_spaces = wrapped >= 5 and spaced >= 0.2 * wrapped

    def continues(self, line: Line, after: Line) -> bool:
        """Whether ``after`` goes on with the paragraph of ``line``."""
        if abs(line.size - after.size) > 0.6 or not self._full(line, after):
            return False
        if MARKER.match(after.text) and (_FINAL.search(line.text) or not _reference(after.text)):
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
        text = lines[0].text
        for line, after in zip(lines, lines[1:], strict=False):
            text = self._glue(text, after.text, line.spaced if self._trust_spaces else None)
        return text

    def join_cell(self, text: str) -> str:
        """The text of a table cell, its lines joined unless they are items of a list."""
        lines = [line for line in text.split("\n") if line.strip()]
        joined = lines[0].rstrip() if lines else ""
        for line, after in zip(lines, lines[1:], strict=False):
            if MARKER.match(after):
                joined += "\n" + after.strip()
            else:
                spaced = line.endswith(" ")
                joined = self._glue(joined, after.strip(), True if spaced else False if self._trust_spaces else None)
        return joined

    def _glue(self, text: str, after: str, spaced: bool | None) -> str:
        if text.endswith("-") and text[-2:-1].isalpha() and after[:1].islower():
            return text[:-1] + after
        if spaced is None or not (_HANGUL.match(text[-1:]) and _HANGUL.match(after[:1])):
            spaced = spaced if spaced else not self._one_word(text, after)
        return text + (" " if spaced else "") + after

    def _one_word(self, text: str, after: str) -> bool:
        if not (_HANGUL.match(text[-1:]) and _HANGUL.match(after[:1])):
            return False
        head, tail = text.rsplit(None, 1)[-1], after.split(None, 1)[0]
        return self._words[head + tail] > 0 and not (self._words[head] and self._words[tail])


def _reference(text: str) -> bool:
    return text.startswith("제") or text[:1].isdigit()


def _right_margins(lines: list[Line]) -> dict[int, float]:
    """For each line (by id) the right edge of its column on its page."""
    by_page: dict[int, list[Line]] = defaultdict(list)
    for line in lines:
        by_page[line.page].append(line)
    margins: dict[int, float] = {}
    for page in by_page.values():
        for line in page:
            beside = [
                other.box[2] for other in page if abs(other.size - line.size) <= 1 and _overlap(other.box, line.box) > 0.5
            ]
            margins[id(line)] = max(beside, default=line.box[2])
    return margins


def _overlap(a: Box, b: Box) -> float:
    return (min(a[2], b[2]) - max(a[0], b[0])) / max(min(a[2] - a[0], b[2] - b[0]), 1)


def _line_pitch(lines: list[Line]) -> dict[float, float]:
    """Font size -> usual distance from line to line."""
    steps: dict[float, Counter[float]] = defaultdict(Counter)
    for line, after in zip(lines, lines[1:], strict=False):
        step = round(after.box[1] - line.box[1], 0)
        if line.page == after.page and line.size == after.size and 0 < step <= 3 * line.size:
            steps[line.size][step] += 1
    return {size: counts.most_common(1)[0][0] for size, counts in steps.items()}
