"""XLSX: a sheet for each second-level heading and the table under it."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from openpyxl import Workbook
from openpyxl.styles import Font, PatternFill
from openpyxl.utils import get_column_letter

from builders.archive import settle
from builders.blocks import Block


def write_xlsx(path: Path, blocks: list[Block]) -> None:
    """Write the tables of ``blocks`` as a workbook; numbers and dates become typed cells."""
    book = Workbook()
    book.remove(book.active)
    book.properties.title = blocks[0].text
    book.properties.creator = "Gaonnuri Tech"
    for block in blocks[1:]:
        if block.kind == "heading":
            sheet = book.create_sheet(block.text)
            continue
        for row in block.rows:
            sheet.append([_value(text) for text in row])
        for cell in sheet[1]:
            cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor="E8EEF4")
        for index, column in enumerate(zip(*block.rows, strict=True), 1):
            sheet.column_dimensions[get_column_letter(index)].width = 4 + max(len(text) for text in column) * 1.7
        for row in sheet.iter_rows(min_row=2):
            for cell in row:
                if isinstance(cell.value, int):
                    cell.number_format = "#,##0"
        sheet.freeze_panes = "A2"
    book.save(path)
    settle(path)


def _value(text: str) -> str | int | date | None:
    if re.fullmatch(r"\d+", text):
        return int(text)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return date.fromisoformat(text)
    return text or None
