"""From cells to Markdown tables."""

from __future__ import annotations

from llmflow.ingestion.parsers.cleaning import clean
from llmflow.schema import Element, ElementType

_MAX_SPAN = 1000
_MAX_CELLS = 2_000_000


class Grid:
    """Cells with spans, placed into rows and columns.

    A cell that spans rows is repeated in each of them, so that every row can be read on
    its own. A cell that spans columns stands once, except in the first row, where it names
    each of its columns. A first row that is one cell over the full width is the caption.
    """

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], str] = {}
        self._spans: dict[tuple[int, int], int] = {}

    def place(self, row: int, column: int, text: str, rows: int = 1, columns: int = 1) -> None:
        """Put a cell whose upper left corner is (row, column), both from 0."""
        rows, columns = min(max(rows, 1), _MAX_SPAN), min(max(columns, 1), _MAX_SPAN)
        if len(self._cells) + rows * columns > _MAX_CELLS:
            raise MemoryError("table with more than two million cells")
        self._spans[row, column] = columns
        for below in range(rows):
            for right in range(columns):
                self._cells[row + below, column + right] = text if not right or row == 0 else ""

    def free_column(self, row: int, column: int) -> int:
        """The first column from ``column`` on that no cell covers yet."""
        while (row, column) in self._cells:
            column += 1
        return column

    def elements(
        self, page: int | None = None, coordinates: tuple[float, float, float, float] | None = None
    ) -> list[Element]:
        """The table, after its caption; a single column becomes plain paragraphs."""
        if not self._cells:
            return []
        height = max(row for row, _ in self._cells) + 1
        width = max(column for _, column in self._cells) + 1
        found: list[Element] = []
        first = 0
        if height > 1 and width > 1 and self._spans.get((0, 0)) == width:
            caption = clean(self._cells[0, 0])
            if caption:
                found.append(Element(ElementType.NARRATIVE_TEXT, caption, page))
            first = 1
        rows = [[self._cells.get((row, column), "") for column in range(width)] for row in range(first, height)]
        return found + table_elements(rows, page, coordinates)


def table_elements(
    rows: list[list[str]],
    page: int | None = None,
    coordinates: tuple[float, float, float, float] | None = None,
) -> list[Element]:
    """A table element of ``rows``; empty rows and columns go, one column becomes paragraphs."""
    rows = [row for row in ([clean(cell) for cell in row] for row in rows) if any(row)]
    width = max((len(row) for row in rows), default=0)
    rows = [row + [""] * (width - len(row)) for row in rows]
    kept = [column for column in range(width) if any(row[column] for row in rows)]
    if not kept:
        return []
    if len(kept) == 1:
        texts = [row[kept[0]] for row in rows]
        return [Element(ElementType.NARRATIVE_TEXT, text, page, coordinates) for text in texts]
    lines = ["| " + " | ".join(_cell(row[column]) for column in kept) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(kept))
    return [Element(ElementType.TABLE, "\n".join(lines), page, coordinates)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
