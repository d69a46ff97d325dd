"""Ruled tables of a PDF page: pdfplumber's geometry on the lines PDFium draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pdfplumber.table import cells_to_tables, edges_to_intersections, intersections_to_cells, merge_edges

from llmflow.ingestion.parsers.pdf_page import Box, Page
from llmflow.ingestion.parsers.tables import Grid
from llmflow.schema import Element

_TOLERANCE = 3
_MAX_CROSSINGS = 2_000
_MAX_CELL_SHARE = 0.5


@dataclass(slots=True)
class Table:
    """Cells of a ruled table and the text that falls into them, line by line."""

    box: Box
    cells: list[Box]
    texts: list[list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.texts = [[] for _ in self.cells]

    def cell_at(self, x: float, y: float) -> int | None:
        """The number of the cell that holds the point."""
        for number, (x0, top, x1, bottom) in enumerate(self.cells):
            if x0 <= x <= x1 and top <= y <= bottom:
                return number
        return None

    def elements(self, page: int, texts: list[str]) -> list[Element]:
        """The table with ``texts``, one a cell."""
        columns = sorted({edge for x0, _, x1, _ in self.cells for edge in (x0, x1)})
        rows = sorted({edge for _, top, _, bottom in self.cells for edge in (top, bottom)})
        column_of = {edge: number for number, edge in enumerate(columns)}
        row_of = {edge: number for number, edge in enumerate(rows)}
        grid = Grid()
        for (x0, top, x1, bottom), text in zip(self.cells, texts, strict=True):
            row, column = row_of[top], column_of[x0]
            grid.place(row, column, text, row_of[bottom] - row, column_of[x1] - column)
        return grid.elements(page, self.box)


def find_tables(page: Page) -> list[Table]:
    """Tables of at least two cells, from the top down."""
    if len(page.drawing.edges) < 6:
        return []
    edges = _merged([_edge(box) for box in set(page.drawing.edges)])
    edges = _merged(edges + _open_sides(edges))
    horizontal = sum(edge["orientation"] == "h" for edge in edges)
    if horizontal < 2 or len(edges) - horizontal < 2 or horizontal * (len(edges) - horizontal) > 100 * _MAX_CROSSINGS:
        return []
    crossings = edges_to_intersections(edges, _TOLERANCE, _TOLERANCE)
    if len(crossings) > _MAX_CROSSINGS:
        return []
    limit = _MAX_CELL_SHARE * page.width * page.height
    cells = [cell for cell in intersections_to_cells(crossings) if _area(cell) <= limit]
    return [Table(_around(cells), cells) for cells in cells_to_tables(cells)]


def _edge(box: Box) -> dict[str, Any]:
    x0, top, x1, bottom = box
    return {
        "x0": x0,
        "top": top,
        "x1": x1,
        "bottom": bottom,
        "width": x1 - x0,
        "height": bottom - top,
        "orientation": "h" if top == bottom else "v",
    }


def _merged(edges: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(merge_edges(edges, *[_TOLERANCE] * 4))


def _open_sides(edges: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The missing outer sides of tables that are ruled inside only, as Korean forms like to be.

    Between two horizontal lines of the same extent that a vertical line connects, the
    sides are added.
    """
    lines = sorted((edge for edge in edges if edge["orientation"] == "h"), key=lambda edge: float(edge["top"]))
    inner = [edge for edge in edges if edge["orientation"] == "v"]
    sides: list[dict[str, Any]] = []
    for number, upper in enumerate(lines):
        lower = next((line for line in lines[number + 1 :] if _same_extent(upper, line)), None)
        if lower is None or lower["top"] - upper["top"] <= _TOLERANCE:
            continue
        if any(
            upper["x0"] - _TOLERANCE < edge["x0"] < upper["x1"] + _TOLERANCE
            and edge["top"] <= upper["top"] + _TOLERANCE
            and edge["bottom"] >= lower["top"] - _TOLERANCE
            for edge in inner
        ):
            sides += [_edge((x, upper["top"], x, lower["top"])) for x in (upper["x0"], upper["x1"])]
    return sides


def _same_extent(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return abs(float(a["x0"] - b["x0"])) <= _TOLERANCE and abs(float(a["x1"] - b["x1"])) <= _TOLERANCE


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _around(cells: list[Box]) -> Box:
    x0, top, x1, bottom = zip(*cells, strict=True)
    return min(x0), min(top), max(x1), max(bottom)
