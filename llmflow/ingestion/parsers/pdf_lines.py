"""From characters to the lines and tables of a document, without what runs through all its pages."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TypeGuard

from llmflow.ingestion.parsers.pdf_page import Box, Page
from llmflow.ingestion.parsers.pdf_tables import Table, find_tables

_PAGE_NUMBER = re.compile(
    r"^[\s\-–—_|/·.<>\[\]()]*(?:page|p\.?)?\s*\d{1,4}\s*(?:(?:/|of)\s*\d{1,4})?[\s\-–—_|.<>\[\]()]*$", re.I
)
_DIGITS = re.compile(r"\d+")
_ZONE = 0.12
_MIN_REPEATS = 3
_REPEAT_SHARE, _COUNTING_SHARE = 0.15, 0.03


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
        self.weights.clear()
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


def drop_repeats(pages: list[tuple[float, list[Item]]]) -> tuple[list[Item], list[str]]:
    """The items of all pages without running headers, footers and page numbers, and what those said.

    ``pages`` are (height, items).
    """
    seen: dict[str, set[int]] = defaultdict(set)
    for height, items in pages:
        for item in items:
            if _in_margin(item, height):
                seen[_counted(item)].add(item.page)
    kept: list[Item] = []
    dropped: dict[str, str] = {}
    for height, items in pages:
        for item in items:
            if not _in_margin(item, height):
                kept.append(item)
                continue
            if _PAGE_NUMBER.match(item.text):
                continue
            # A line that counts pages is a running one even if it names the chapter.
            key = _counted(item)
            share = _COUNTING_SHARE if "#" in key else _REPEAT_SHARE
            if len(seen[key]) >= max(_MIN_REPEATS, share * len(pages)):
                dropped.setdefault(key, item.text)
            else:
                kept.append(item)
    return kept, list(dropped.values())


def _in_margin(item: Item, height: float) -> TypeGuard[Line]:
    if not isinstance(item, Line):
        return False
    return item.box[3] < _ZONE * height or item.box[1] > (1 - _ZONE) * height


def _counted(line: Line) -> str:
    return _DIGITS.sub("#", "".join(line.text.split()))
