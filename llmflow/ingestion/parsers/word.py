"""Word documents (DOCX)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import docx
from docx.oxml.ns import qn
from lxml import etree

from llmflow.ingestion.parsers.base import Content, Source
from llmflow.ingestion.parsers.ooxml import open_package
from llmflow.ingestion.parsers.tables import Grid
from llmflow.ingestion.parsers.word_styles import Styles
from llmflow.schema import Element, ElementType

_P, _TBL, _SDT = qn("w:p"), qn("w:tbl"), qn("w:sdt")
_TEXT, _TAB, _BREAK, _HYPHEN = qn("w:t"), qn("w:tab"), qn("w:br"), qn("w:noBreakHyphen")
_RUN, _BOX = qn("w:r"), qn("w:txbxContent")
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_SKIPPED = frozenset({qn("w:del"), qn("w:moveFrom"), qn("w:pPr"), qn("w:rPr"), qn("w:instrText"), _FALLBACK})
_NOTE_PARTS = ("footnotes", "endnotes")


def parse(source: Source) -> Content:
    """Headings, paragraphs, list items, tables and text boxes in document order, then foot- and endnotes.

    Headers, footers, deleted text and comments are left out.
    """
    content = Content()
    document = open_package(source, docx.Document, content)
    reader = _Reader(Styles(document))
    content.elements += reader.blocks(document.element.body)
    for note in _notes(document):
        content.elements += reader.blocks(note)
    if reader.hidden:
        content.warnings.append(f"left out {reader.hidden} hidden passages")
    content.title = document.core_properties.title or None
    return content


def _notes(document: Any) -> Iterator[etree._Element]:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    for relation in document.part.rels.values():
        if not relation.is_external and relation.reltype.rsplit("/", 1)[-1] in _NOTE_PARTS:
            for note in etree.fromstring(relation.target_part.blob, parser):
                if note.get(qn("w:type")) is None:
                    yield note


class _Reader:
    def __init__(self, styles: Styles) -> None:
        self.hidden = 0
        self._styles = styles

    def blocks(self, parent: etree._Element) -> Iterator[Element]:
        """Elements of the paragraphs and tables inside ``parent``."""
        for child in parent:
            if child.tag == _P:
                yield from self._paragraph(child)
            elif child.tag == _TBL:
                yield from self._table(child)
            elif child.tag not in _SKIPPED:
                # Content controls, tracked insertions and custom XML wrap blocks of their own.
                yield from self.blocks(child)

    def _paragraph(self, paragraph: etree._Element) -> Iterator[Element]:
        parts: list[str] = []
        boxes: list[etree._Element] = []
        self._inline(paragraph, parts, boxes)
        text = "".join(parts).strip()
        if text:
            kind, level, label = self._styles.of(paragraph)
            yield Element(kind, f"{label} {text}" if label else text, level=level)
        for box in boxes:
            yield from self.blocks(box)

    def _inline(self, node: etree._Element, parts: list[str], boxes: list[etree._Element]) -> None:
        for child in node:
            tag = child.tag
            if tag in _SKIPPED:
                continue
            if tag == _TEXT:
                parts.append(child.text or "")
            elif tag == _TAB:
                parts.append("\t")
            elif tag == _BREAK:
                parts.append("\n")
            elif tag == _HYPHEN:
                parts.append("-")
            elif tag == _BOX:
                boxes.append(child)
            elif tag == _RUN and _vanishes(child):
                self.hidden += any(text.text for text in child.iter(_TEXT))
            else:
                self._inline(child, parts, boxes)

    def _table(self, table: etree._Element) -> Iterator[Element]:
        grid = Grid()
        open_cells: dict[int, tuple[int, int, str, int]] = {}
        nested: list[Element] = []
        for number, row in enumerate(_children(table, qn("w:tr"))):
            column = _number(row.find(f"{qn('w:trPr')}/{qn('w:gridBefore')}"), 0)
            for cell in _children(row, qn("w:tc")):
                width = _number(cell.find(f"{qn('w:tcPr')}/{qn('w:gridSpan')}"), 1)
                merge = cell.find(f"{qn('w:tcPr')}/{qn('w:vMerge')}")
                above = open_cells.get(column)
                if merge is not None and merge.get(qn("w:val")) != "restart" and above:
                    start, spanned, text, _ = above
                    open_cells[column] = (start, spanned + 1, text, width)
                    grid.place(start, column, text, number - start + 1, width)
                else:
                    text = self._cell(cell, nested)
                    open_cells[column] = (number, 1, text, width)
                    grid.place(number, column, text, 1, width)
                column += width
        yield from grid.elements()
        yield from nested

    def _cell(self, cell: etree._Element, nested: list[Element]) -> str:
        texts = []
        for element in self.blocks(cell):
            if element.type is ElementType.TABLE:
                nested.append(element)
            else:
                texts.append(element.text)
        return "\n".join(texts)


def _children(node: etree._Element, tag: str) -> Iterator[etree._Element]:
    for child in node:
        if child.tag == tag:
            yield child
        elif child.tag == _SDT or child.tag == qn("w:sdtContent") or child.tag == qn("w:customXml"):
            yield from _children(child, tag)


def _number(node: etree._Element | None, default: int) -> int:
    value = node.get(qn("w:val")) if node is not None else None
    return int(value) if value and value.isdecimal() else default


def _vanishes(run: etree._Element) -> bool:
    vanish = run.find(f"{qn('w:rPr')}/{qn('w:vanish')}")
    return vanish is not None and vanish.get(qn("w:val")) not in ("0", "false", "off")
