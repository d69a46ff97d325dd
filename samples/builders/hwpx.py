"""HWPX (OWPML, KS X 6101): a Hangul document of paragraphs and ruled tables."""

from __future__ import annotations

from pathlib import Path

from lxml import etree

from builders.archive import WRITTEN, write_zip
from builders.blocks import Block
from builders.hwpx_parts import CONTAINER, CONTENT, HEADER, MANIFEST, NAMESPACES, SECTION_PROPERTIES, SETTINGS, VERSION

WIDTH = 42520
"""Width of the text on A4 in HWPUNIT (1/7200 inch), margins of 30 mm."""
ROW_HEIGHT = 1800
BODY, BOLD, TITLE = "0", "1", "2"
"""Character properties defined in the header."""
OUTLINE = {1: "1", 2: "2"}
"""Styles of the headings by level; 0 is body text."""


def write_hwpx(path: Path, blocks: list[Block]) -> None:
    """Write ``blocks`` as a Hangul document of one section."""
    title, written = blocks[0].text, f"{WRITTEN:%Y-%m-%dT%H:%M:%SZ}"
    members = {
        "mimetype": b"application/hwp+zip",
        "version.xml": VERSION.encode(),
        "META-INF/container.xml": CONTAINER.encode(),
        "META-INF/manifest.xml": MANIFEST.encode(),
        "Contents/content.hpf": CONTENT.format(title=title, written=written).encode(),
        "Contents/header.xml": HEADER.encode(),
        "Contents/section0.xml": _section(blocks),
        "settings.xml": SETTINGS.encode(),
        "Preview/PrvText.txt": "\r\n".join(block.text for block in blocks)[:1000].encode("utf-16-le"),
    }
    write_zip(path, members, stored=("mimetype", "version.xml"))


def _section(blocks: list[Block]) -> bytes:
    root = etree.Element(_name("hs:sec"), nsmap=NAMESPACES)
    for number, block in enumerate(blocks):
        paragraph = _paragraph(root, number, OUTLINE.get(block.level, "0"))
        if number == 0:
            properties = etree.fromstring(SECTION_PROPERTIES)
            run = _add(paragraph, "hp:run", charPrIDRef=BODY)
            run.extend(properties)
        if block.kind == "table":
            run = _add(paragraph, "hp:run", charPrIDRef=BODY)
            _table(run, number, block.rows)
            _add(run, "hp:t")
        else:
            font = {1: TITLE, 2: BOLD}.get(block.level, BODY)
            _text(paragraph, f"{block.marker} {block.text}".strip(), font)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True)


def _table(run: etree._Element, number: int, rows: list[list[str]]) -> None:
    columns, width, height = len(rows[0]), WIDTH // len(rows[0]), ROW_HEIGHT * len(rows)
    table = _add(
        run, "hp:tbl", id=str(number), zOrder="0", numberingType="TABLE", textWrap="TOP_AND_BOTTOM",
        textFlow="BOTH_SIDES", lock="0", dropcapstyle="None", pageBreak="CELL", repeatHeader="1",
        rowCnt=str(len(rows)), colCnt=str(columns), cellSpacing="0", borderFillIDRef="3", noAdjust="0",
    )  # fmt: skip
    _add(
        table, "hp:sz", width=str(width * columns), widthRelTo="ABSOLUTE", height=str(height), heightRelTo="ABSOLUTE",
        protect="0",
    )  # fmt: skip
    _add(
        table, "hp:pos", treatAsChar="1", affectLSpacing="0", flowWithText="1", allowOverlap="0", holdAnchorAndSO="0",
        vertRelTo="PARA", horzRelTo="COLUMN", vertAlign="TOP", horzAlign="LEFT", vertOffset="0", horzOffset="0",
    )  # fmt: skip
    _add(table, "hp:outMargin", left="283", right="283", top="283", bottom="283")
    _add(table, "hp:inMargin", left="510", right="510", top="141", bottom="141")
    for y, row in enumerate(rows):
        line = _add(table, "hp:tr")
        for x, text in enumerate(row):
            cell = _add(
                line, "hp:tc", name="", header=str(int(y == 0)), hasMargin="0", protect="0", editable="0", dirty="0",
                borderFillIDRef="3",
            )  # fmt: skip
            content = _add(
                cell, "hp:subList", id="", textDirection="HORIZONTAL", lineWrap="BREAK", vertAlign="CENTER",
                linkListIDRef="0", linkListNextIDRef="0", textWidth="0", textHeight="0", hasTextRef="0", hasNumRef="0",
            )  # fmt: skip
            _text(_paragraph(content, x, "0"), text, BOLD if y == 0 else BODY)
            _add(cell, "hp:cellAddr", colAddr=str(x), rowAddr=str(y))
            _add(cell, "hp:cellSpan", colSpan="1", rowSpan="1")
            _add(cell, "hp:cellSz", width=str(width), height=str(ROW_HEIGHT))
            _add(cell, "hp:cellMargin", left="510", right="510", top="141", bottom="141")


def _paragraph(parent: etree._Element, number: int, style: str) -> etree._Element:
    return _add(
        parent, "hp:p", id=str(number), paraPrIDRef="0", styleIDRef=style, pageBreak="0", columnBreak="0", merged="0"
    )


def _text(paragraph: etree._Element, text: str, font: str) -> None:
    _add(_add(paragraph, "hp:run", charPrIDRef=font), "hp:t").text = text


def _add(parent: etree._Element, name: str, /, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, _name(name), attributes)


def _name(prefixed: str) -> str:
    prefix, _, local = prefixed.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"
