"""PDF with embedded Korean fonts, ruled tables and a footer with the page number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from builders.blocks import Block

FONT_FOLDER = Path("/usr/share/fonts/truetype/nanum")
REGULAR, BOLD = "NanumGothic", "NanumGothicBold"
SIZES = {1: 20, 2: 14, 3: 11.5}
_RULED = TableStyle(
    [
        ("GRID", (0, 0), (-1, -1), 0.6, colors.black),
        ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#e8eef4")),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ("TOPPADDING", (0, 0), (-1, -1), 4),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 5),
    ]
)


def write_pdf(path: Path, blocks: list[Block]) -> None:
    """Write ``blocks`` as an A4 document.

    Raises:
        FileNotFoundError: the Nanum fonts are not installed.
    """
    for font in (REGULAR, BOLD):
        pdfmetrics.registerFont(TTFont(font, font_file(font)))
    document = SimpleDocTemplate(
        str(path),
        pagesize=A4,
        leftMargin=24 * mm,
        rightMargin=24 * mm,
        topMargin=22 * mm,
        bottomMargin=22 * mm,
        title=blocks[0].text,
        author="Gaonnuri Tech",
        invariant=1,
    )

    def footer(canvas: Any, _: Any) -> None:
        canvas.setFont(REGULAR, 8)
        canvas.drawCentredString(A4[0] / 2, 12 * mm, f"{blocks[0].text} - {canvas.getPageNumber()} -")

    document.build([part for block in blocks for part in _flow(block)], onFirstPage=footer, onLaterPages=footer)


def font_file(name: str) -> str:
    """Path of a Nanum font.

    Raises:
        FileNotFoundError: it is not installed.
    """
    path = FONT_FOLDER / f"{name}.ttf"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; install the Nanum fonts (Debian: apt-get install fonts-nanum)")
    return str(path)


def _flow(block: Block) -> list[Any]:
    if block.kind == "heading":
        size = SIZES[block.level]
        style = ParagraphStyle(
            "heading",
            fontName=BOLD,
            fontSize=size,
            leading=size * 1.5,
            spaceBefore=size * 0.5,
            spaceAfter=3,
            keepWithNext=1,
        )
        return [Paragraph(block.text, style)]
    if block.kind == "table":
        cell = ParagraphStyle("cell", fontName=REGULAR, fontSize=9.5, leading=13)
        head = ParagraphStyle("head", parent=cell, fontName=BOLD)
        rows = [[Paragraph(text, cell if i else head) for text in row] for i, row in enumerate(block.rows)]
        return [Table(rows, style=_RULED, repeatRows=1, hAlign="LEFT"), Spacer(1, 8)]
    body = ParagraphStyle("body", fontName=REGULAR, fontSize=10.5, leading=17.5, spaceAfter=5)
    return [Paragraph(f"{block.marker} {block.text}".strip(), body)]
