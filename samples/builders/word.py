"""DOCX with heading styles, lists and grid tables."""

from __future__ import annotations

from pathlib import Path

from docx import Document
from docx.oxml.ns import qn

from builders.archive import settle
from builders.blocks import Block

FONT = "맑은 고딕"


def write_docx(path: Path, blocks: list[Block]) -> None:
    """Write ``blocks`` as a Word document."""
    document = Document()
    document.core_properties.title = blocks[0].text
    document.core_properties.author = "Gaonnuri Tech"
    for style in document.styles:
        fonts = None if style.element.rPr is None else style.element.rPr.rFonts
        if style.name == "Normal" or fonts is not None:
            style.font.name = FONT
            style.element.rPr.rFonts.set(qn("w:eastAsia"), FONT)
    for block in blocks:
        if block.kind == "heading":
            document.add_heading(block.text, level=block.level - 1)
        elif block.kind == "table":
            table = document.add_table(len(block.rows), len(block.rows[0]), style="Table Grid")
            for row, texts in zip(table.rows, block.rows, strict=True):
                for cell, text in zip(row.cells, texts, strict=True):
                    cell.text = text
            document.add_paragraph()
        elif block.kind == "item":
            document.add_paragraph(block.text, style="List Bullet" if block.marker == "•" else "List Number")
        else:
            document.add_paragraph(block.text)
    document.save(str(path))
    settle(path)
