"""From lines to paragraphs, headings and tables."""

from __future__ import annotations

from collections import Counter

from llmflow.ingestion.parsers.pdf_joining import Joiner
from llmflow.ingestion.parsers.pdf_lines import Item, Line, PageTable
from llmflow.ingestion.parsers.pdf_page import Box
from llmflow.ingestion.parsers.structure import BULLET, LEADER
from llmflow.schema import Element, ElementType

_HEADING_SIZE = 1.15
_MAX_HEADING = 80
_MAX_SHARE = 0.2


def to_elements(items: list[Item]) -> list[Element]:
    """Paragraphs, headings and tables."""
    level = _Headings([item for item in items if isinstance(item, Line)]).level
    joiner = Joiner(items)
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


class _Headings:
    """Tells headings by what is large or bold in this document."""

    def __init__(self, lines: list[Line]) -> None:
        weights: Counter[float] = Counter()
        for line in lines:
            weights[line.size] += len(line.text)
        total = weights.total()
        body = weights.most_common(1)[0][0] if weights else 10.0
        # A size that much is written in is another body, not a heading.
        most = max(_MAX_SHARE * total, _MAX_HEADING)
        large = [size for size, n in weights.items() if size >= _HEADING_SIZE * body and n <= most]
        self._sizes = sorted(large, reverse=True)
        self._bold_counts = 2 * sum(len(line.text) for line in lines if line.bold) < total

    def level(self, line: Line) -> int | None:
        """1 to 3 by size, 4 for bold lines, None for the rest."""
        text = line.text
        if len(text) > _MAX_HEADING or not any(character.isalpha() for character in text):
            return None
        if text.endswith((",", ";", "다.", "함.", "음.")) or BULLET.match(text) or LEADER.search(text):
            return None
        if line.size in self._sizes:
            return min(self._sizes.index(line.size) + 1, 3)
        return 4 if line.bold and self._bold_counts and not text.endswith((".", "다")) else None


def _union(boxes: list[Box]) -> Box:
    x0, top, x1, bottom = zip(*boxes, strict=True)
    return min(x0), min(top), max(x1), max(bottom)
