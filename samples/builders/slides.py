"""PPTX: a slide for each second-level heading, quotations as speaker notes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pptx import Presentation
from pptx.util import Cm, Pt

from builders.archive import settle
from builders.blocks import Block

TITLE_SLIDE, TITLE_AND_BODY, TITLE_ONLY = 0, 1, 5


def write_pptx(path: Path, blocks: list[Block]) -> None:
    """Write ``blocks`` as a deck; the first two blocks are the title slide."""
    deck = Presentation()
    deck.slide_width, deck.slide_height = Cm(25.4), Cm(19.05)
    deck.core_properties.title = blocks[0].text
    deck.core_properties.author = "Gaonnuri Tech"
    first = deck.slides.add_slide(deck.slide_layouts[TITLE_SLIDE])
    first.shapes.title.text = blocks[0].text
    first.placeholders[1].text = blocks[1].text
    starts = [index for index, block in enumerate(blocks) if block.level == 2]
    for start, end in zip(starts, [*starts[1:], len(blocks)], strict=True):
        _add_slide(deck, blocks[start].text, blocks[start + 1 : end])
    deck.save(str(path))
    settle(path)


def _add_slide(deck: Any, title: str, blocks: list[Block]) -> None:
    tables = [block for block in blocks if block.kind == "table"]
    items = [block for block in blocks if block.kind == "item"]
    slide = deck.slides.add_slide(deck.slide_layouts[TITLE_AND_BODY if items else TITLE_ONLY])
    slide.shapes.title.text = title
    bottom = Cm(4.5)
    for block in tables:
        height = Cm(1.2) * len(block.rows)
        shape = slide.shapes.add_table(len(block.rows), len(block.rows[0]), Cm(1.5), bottom, Cm(22.4), height)
        for row, texts in zip(shape.table.rows, block.rows, strict=True):
            for cell, text in zip(row.cells, texts, strict=True):
                cell.text = text
                cell.text_frame.paragraphs[0].font.size = Pt(15)
        bottom += height + Cm(1)
    if items:
        body = slide.placeholders[1]
        body.left, body.top, body.width, body.height = Cm(1.5), bottom, Cm(22.4), Cm(17.5) - bottom
        for index, block in enumerate(items):
            paragraph = body.text_frame.paragraphs[0] if index == 0 else body.text_frame.add_paragraph()
            paragraph.text = block.text
            paragraph.font.size = Pt(22)
    for block in blocks:
        if block.kind == "note":
            slide.notes_slide.notes_text_frame.text = block.text
