"""Workbooks (XLSX)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import partial
from itertools import groupby, pairwise
from typing import Any

import openpyxl

from llmflow.ingestion.parsers.base import Content, Source
from llmflow.ingestion.parsers.ooxml import open_package
from llmflow.ingestion.parsers.tables import table_elements
from llmflow.schema import Element, ElementType, FailureReason

_MAX_CELLS = 3_000_000
# Level 1 is the title of the whole workbook.
_LEVEL = 2


def parse(source: Source) -> Content:
    """Sheets as pages: the sheet's name as title, then its tables, parted by blank rows or columns.

    Formulas give the values stored with them. Hidden sheets are left out.

    Raises:
        DocumentError: too_large and those of :func:`~.ooxml.open_package`.
    """
    content = Content()
    workbook = open_package(source, partial(openpyxl.load_workbook, read_only=True, data_only=True), content)
    content.title = workbook.properties.title or None
    for page, sheet in enumerate(workbook.worksheets, start=1):
        if sheet.sheet_state != "visible":
            content.warnings.append(f"left out hidden sheet {sheet.title}")
            continue
        # Files may declare a million rows; only those that are written count.
        sheet.reset_dimensions()
        bands = groupby(_rows(sheet, source), key=any)
        blocks = [block for filled, band in bands if filled for block in _side_by_side(list(band))]
        found = [element for block in blocks for element in _table(block, page)]
        if found:
            content.elements += [Element(ElementType.TITLE, sheet.title, page, level=_LEVEL), *found]
    return content


def _rows(sheet: Any, source: Source) -> Iterator[list[str]]:
    cells = 0
    for row in sheet.iter_rows():
        shown = [_shown(cell) for cell in row]
        while shown and not shown[-1]:
            shown.pop()
        cells += len(shown)
        if cells > _MAX_CELLS:
            raise source.error(
                FailureReason.TOO_LARGE,
                f"has more than {_MAX_CELLS:,} cells (sheet {sheet.title}); split the workbook",
            )
        yield shown


def _table(rows: list[list[str]], page: int) -> list[Element]:
    # A first row with a single cell is the caption of the table below it.
    found: list[Element] = []
    while len(rows) > 2 and sum(map(bool, rows[0])) == 1:
        found.append(Element(ElementType.NARRATIVE_TEXT, next(filter(None, rows[0])), page))
        rows = rows[1:]
    return found + table_elements(rows, page)


def _side_by_side(band: list[list[str]]) -> list[list[list[str]]]:
    """The tables of rows without a blank row between them, parted by blank columns."""
    width = max(len(row) for row in band)
    band = [row + [""] * (width - len(row)) for row in band]
    columns = _runs([any(row[column] for row in band) for column in range(width)])
    return [[row[left:right] for row in band] for left, right in columns]


def _runs(filled: list[bool]) -> list[tuple[int, int]]:
    edges = [i for i, (before, after) in enumerate(pairwise([False, *filled, False])) if before != after]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _shown(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, dt.datetime):
        at_midnight = value.time() == dt.time()
        return value.date().isoformat() if at_midnight else value.isoformat(" ", timespec="minutes")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (int, float)) and "%" in (cell.number_format or ""):
        return f"{value * 100:.10g}%"
    if isinstance(value, float):
        return f"{value:.15g}"
    return str(value)
