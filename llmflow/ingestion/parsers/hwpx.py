"""HWPX documents (KS X 6101, the open format of Hangul)."""

from __future__ import annotations

import re
import zipfile
from functools import cache

from lxml import etree

from llmflow.ingestion.parsers.archive import open_zip
from llmflow.ingestion.parsers.base import Content, Source
from llmflow.ingestion.parsers.tables import Grid
from llmflow.schema import Element, ElementType, FailureReason

_SECTION = re.compile(r"^Contents/section(\d+)\.xml$", re.I)
_OUTLINE_STYLE = re.compile(r"^(?:개요|Outline)\s*(\d+)$", re.I)
_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, recover=True)
_LINES = {"lineBreak": "\n", "tab": "\t", "nbSpace": " ", "fwSpace": " ", "hyphen": "-"}
_SKIPPED = frozenset({"header", "footer", "hiddenComment", "shapeComment", "script", "linesegarray"})
_NOTES = frozenset({"footNote", "endNote"})


def parse(source: Source) -> Content:
    """Paragraphs, tables (nested ones after their table), text boxes and notes in document order.

    Page headers and footers, hidden comments and memos are left out.

    Raises:
        DocumentError: malformed and those of :func:`~.archive.open_zip`.
    """
    with open_zip(source) as archive:
        names = archive.namelist()
        sections = sorted((int(match[1]), name) for name in names if (match := _SECTION.match(name)))
        if not sections:
            raise source.error(FailureReason.MALFORMED, "holds no section (Contents/section0.xml); save it again")
        reader = _Reader(_outline(archive))
        # The title in the metadata is whatever the first line was when the file was first saved.
        content = Content()
        for _, name in sections:
            root = etree.fromstring(archive.read(name), _PARSER)
            if root is None:
                raise source.error(FailureReason.MALFORMED, f"part {name} is no XML; save the document again")
            content.elements += reader.blocks(root)
    return content


@cache
def _local(tag: object) -> str:
    # Namespaces carry the year of the format (2011, 2016, 2024); local names did not change.
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _name(node: etree._Element) -> str:
    return _local(node.tag)


def _outline(archive: zipfile.ZipFile) -> dict[tuple[str, str], int]:
    """("para" or "style", id) -> heading level."""
    levels: dict[tuple[str, str], int] = {}
    if "Contents/header.xml" not in archive.namelist():
        return levels
    root = etree.fromstring(archive.read("Contents/header.xml"), _PARSER)
    for node in root.iter() if root is not None else ():
        if _name(node) == "paraPr":
            for heading in node:
                if _name(heading) == "heading" and heading.get("type") == "OUTLINE":
                    levels["para", node.get("id") or ""] = int(heading.get("level") or 0) + 1
        elif _name(node) == "style" and (match := _OUTLINE_STYLE.match(node.get("name") or "")):
            levels["style", node.get("id") or ""] = int(match[1])
    return levels


class _Reader:
    def __init__(self, outline: dict[tuple[str, str], int]) -> None:
        self._outline = outline

    def blocks(self, parent: etree._Element) -> list[Element]:
        """Elements of the paragraphs in ``parent`` (a section, cell, text box or note)."""
        found: list[Element] = []
        for paragraph in parent:
            if _name(paragraph) == "p":
                found += self._paragraph(paragraph)
        return found

    def _paragraph(self, paragraph: etree._Element) -> list[Element]:
        parts: list[str] = []
        objects: list[Element] = []
        for run in paragraph:
            if _name(run) == "run":
                self._run(run, parts, objects)
        text = "".join(parts).strip()
        if not text:
            return objects
        level = self._outline.get(("para", paragraph.get("paraPrIDRef") or "")) or self._outline.get(
            ("style", paragraph.get("styleIDRef") or "")
        )
        kind = ElementType.TITLE if level else ElementType.NARRATIVE_TEXT
        return [Element(kind, text, level=level), *objects]

    def _run(self, run: etree._Element, parts: list[str], objects: list[Element]) -> None:
        for child in run:
            name = _name(child)
            if name == "t":
                _read_text(child, parts)
            elif name == "tbl":
                objects += self._table(child)
            elif name not in _SKIPPED:
                objects += self._inside(child)

    def _inside(self, node: etree._Element) -> list[Element]:
        """Text boxes and notes anywhere below ``node``."""
        name = _name(node)
        if name in _SKIPPED or (name == "fieldBegin" and node.get("type") == "MEMO"):
            return []
        if name == "tbl":
            return self._table(node)
        if name == "subList":
            return self.blocks(node)
        if name in _NOTES:
            text = " ".join(element.text for sub in node for element in self.blocks(sub))
            return [Element(ElementType.NARRATIVE_TEXT, text)]
        return [element for child in node for element in self._inside(child)]

    def _table(self, table: etree._Element) -> list[Element]:
        grid = Grid()
        nested: list[Element] = []
        caption: list[Element] = []
        for row in table:
            if _name(row) == "caption":
                caption += self._inside(row)
            if _name(row) != "tr":
                continue
            for cell in row:
                if _name(cell) == "tc":
                    self._cell(cell, grid, nested)
        return [*caption, *grid.elements(), *nested]

    def _cell(self, cell: etree._Element, grid: Grid, nested: list[Element]) -> None:
        place, span, texts = (0, 0), (1, 1), []
        for part in cell:
            name = _name(part)
            if name == "cellAddr":
                place = _pair(part, "rowAddr", "colAddr", 0)
            elif name == "cellSpan":
                span = _pair(part, "rowSpan", "colSpan", 1)
            elif name == "subList":
                for element in self.blocks(part):
                    if element.type is ElementType.TABLE:
                        nested.append(element)
                    else:
                        texts.append(element.text)
        grid.place(*place, "\n".join(texts), *span)


def _read_text(node: etree._Element, parts: list[str]) -> None:
    parts.append(node.text or "")
    for child in node:
        parts.append(_LINES.get(_name(child), ""))
        parts.append(child.tail or "")


def _pair(node: etree._Element, row: str, column: str, default: int) -> tuple[int, int]:
    values = [value if (value := node.get(key) or "").isdecimal() else str(default) for key in (row, column)]
    return int(values[0]), int(values[1])
