"""From cells to Markdown tables."""

from __future__ import annotations

import re
from itertools import chain

from llmflow.ingestion.parsers.cleaning import clean
from llmflow.schema import Element, ElementType

_MAX_SPAN = 1000
_MAX_CELLS = 2_000_000
_NUMBER = re.compile(r"^(?:\d{1,2}|[ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩ]|[IVX]{1,4})\.?$")
_MAX_TITLE = 60
_BOX_LEVEL = 3
_FORM_COLUMNS, _FORM_SHARE = 8, 0.4

Box = tuple[float, float, float, float]


class Grid:
    """Cells with spans, placed into rows and columns.

    A cell that spans rows is repeated in each of them, so that every row can be read on
    its own. A cell that spans columns stands once, except in the first row, where it names
    each of its columns. A first row whose only text spans columns is the caption.
    """

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], str] = {}
        self._starts: set[int] = set()
        self._captions: list[int] = []

    def place(self, row: int, column: int, text: str, rows: int = 1, columns: int = 1) -> None:
        """Put a cell whose upper left corner is (row, column), both from 0."""
        rows, columns = min(max(rows, 1), _MAX_SPAN), min(max(columns, 1), _MAX_SPAN)
        if len(self._cells) + rows * columns > _MAX_CELLS:
            raise MemoryError("table with more than two million cells")
        if text.strip():
            self._starts.add(column)
            if row == 0:
                self._captions.append(columns)
        for below in range(rows):
            for right in range(columns):
                self._cells[row + below, column + right] = text if not right or row == 0 else ""

    def free_column(self, row: int, column: int) -> int:
        """The first column from ``column`` on that no cell covers yet."""
        while (row, column) in self._cells:
            column += 1
        return column

    def elements(self, page: int | None = None, coordinates: Box | None = None) -> list[Element]:
        """The table, after its caption; see :func:`table_elements`."""
        if not self._starts:
            return []
        height = max(row for row, _ in self._cells) + 1
        found: list[Element] = []
        first = 0
        if height > 1 and len(self._captions) == 1 and self._captions[0] > 1:
            caption = next(text for (row, _), text in self._cells.items() if row == 0 and text.strip())
            found.append(Element(ElementType.NARRATIVE_TEXT, caption, page))
            first = 1
        # Forms are drawn on fine grids: columns in which no cell begins only widen others.
        columns = sorted(self._starts)
        rows: list[list[str]] = []
        for number in range(first, height):
            row = [self._cells.get((number, column), "") for column in columns]
            # A row without cells of its own only stretches the row above.
            if not rows or row != rows[-1]:
                rows.append(row)
        return found + table_elements(rows, page, coordinates)


def table_elements(
    rows: list[list[str]],
    page: int | None = None,
    coordinates: Box | None = None,
) -> list[Element]:
    """A table element of ``rows``; empty rows and columns go.

    A single column becomes paragraphs, a single row one paragraph: a title if its first
    cell is a number, as in the boxes that head the sections of official letters. Forms,
    wide and mostly empty, become lines of text.
    """
    rows = [row for row in ([clean(cell) for cell in row] for row in rows) if any(row)]
    width = max((len(row) for row in rows), default=0)
    rows = [row + [""] * (width - len(row)) for row in rows]
    kept = [column for column in range(width) if any(row[column] for row in rows)]
    if not kept:
        return []
    if len(kept) == 1:
        texts = [row[kept[0]] for row in rows]
        return [Element(ElementType.NARRATIVE_TEXT, text, page, coordinates) for text in texts]
    if len(rows) == 1:
        cells = [cell for cell in rows[0] if cell]
        text = " ".join(cells)
        if _NUMBER.match(cells[0]) and len(text) <= _MAX_TITLE:
            return [Element(ElementType.TITLE, text, page, coordinates, _BOX_LEVEL)]
        return [Element(ElementType.NARRATIVE_TEXT, text, page, coordinates)]
    if len(kept) > _FORM_COLUMNS and sum(map(bool, chain(*rows))) < _FORM_SHARE * len(rows) * len(kept):
        text = "\n".join(" ".join(cell for cell in row if cell) for row in rows)
        return [Element(ElementType.NARRATIVE_TEXT, text, page, coordinates)]
    lines = ["| " + " | ".join(_cell(row[column]) for column in kept) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(kept))
    return [Element(ElementType.TABLE, "\n".join(lines), page, coordinates)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
