"""HTML pages."""

from __future__ import annotations

import re

from lxml import etree
from lxml import html as lxml_html

from llmflow.ingestion.parsers.base import Content, Source
from llmflow.ingestion.parsers.decoding import decode
from llmflow.ingestion.parsers.tables import Grid
from llmflow.schema import Element, ElementType, FailureReason

_META_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([\w-]+)", re.I)
_ENTITY = re.compile(r"<!ENTITY[^>]*\b(?:SYSTEM|PUBLIC)\b", re.I)
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?![.\d])", re.I
)
_SPACES = re.compile(r"\s+")
_BLANK_LINE = re.compile(r"\n\s*\n")
_HEAD = 65536

# fmt: off
_DROPPED = frozenset({
    "script", "style", "noscript", "template", "nav", "head", "svg", "math", "iframe", "object", "embed", "canvas",
    "audio", "video", "map", "button", "select", "input", "textarea", "datalist", "dialog",
})
_BLOCKS = frozenset({
    "html", "body", "main", "article", "section", "header", "footer", "aside", "div", "p", "ul", "ol", "dl", "dt",
    "dd", "li", "figure", "figcaption", "blockquote", "form", "fieldset", "legend", "details", "summary", "address",
    "hr", "center", "h1", "h2", "h3", "h4", "h5", "h6", "table", "caption", "thead", "tbody", "tfoot", "tr", "td",
    "th", "pre",
})
# fmt: on


def parse(source: Source) -> Content:
    """Headings, paragraphs, list items and tables of a page; scripts, menus and hidden parts left out.

    Raises:
        DocumentError: external_entity.
    """
    declared = _META_CHARSET.search(source.data[:_HEAD])
    text, _ = decode(source.data, declared[1].decode() if declared else None)
    if _ENTITY.search(text[:_HEAD]):
        raise source.error(
            FailureReason.EXTERNAL_ENTITY, "declares an external entity, which can pull in other files; remove it"
        )
    return parse_html(text)


def parse_html(text: str) -> Content:
    """The content of HTML ``text``."""
    parser = lxml_html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    root = etree.fromstring(text.encode("utf-8", "replace"), parser)
    if root is None:
        return Content()
    walker = _Walker()
    walker.block(root)
    walker.flush()
    title = root.findtext("head/title")
    content = Content(elements=walker.elements, title=title)
    if walker.hidden:
        content.warnings.append(f"left out {walker.hidden} hidden passages")
    return content


class _Walker:
    """Goes through the tree, gathering inline text until the next block begins."""

    def __init__(self) -> None:
        self.elements: list[Element] = []
        self.hidden = 0
        self._text: list[str] = []
        self._type = ElementType.NARRATIVE_TEXT
        self._level: int | None = None

    def flush(self, parted: bool = False) -> None:
        """Close the element; ``parted`` text is cut at blank lines."""
        text = "".join(self._text).strip()
        for part in _BLANK_LINE.split(text) if parted else [text]:
            if part.strip():
                self.elements.append(Element(self._type, part, level=self._level))
        self._text.clear()

    def block(self, node: etree._Element) -> None:
        """Read ``node`` as a block of its own."""
        self.flush()
        before = self._type, self._level
        tag = node.tag
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self._type, self._level = ElementType.TITLE, int(tag[1])
        elif tag in ("li", "dd"):
            self._type, self._level = ElementType.LIST_ITEM, None
            self._text.append(_number(node))
        if tag == "table" and _is_data_table(node):
            self._table(node)
        else:
            self._inside(node, keep_spaces=tag == "pre")
            self.flush(parted=tag == "pre")
        self._type, self._level = before

    def _inside(self, node: etree._Element, keep_spaces: bool) -> None:
        self._add(node.text, keep_spaces)
        for child in node:
            self._child(child, keep_spaces)
            self._add(child.tail, keep_spaces)

    def _child(self, child: etree._Element, keep_spaces: bool) -> None:
        if child.tag in _DROPPED:
            return
        if _is_hidden(child):
            self.hidden += bool("".join(child.itertext()).strip())
        elif child.tag == "br":
            self._text.append("\n")
        elif child.tag in _BLOCKS:
            self.block(child)
        else:
            self._inside(child, keep_spaces)

    def _add(self, text: str | None, keep_spaces: bool) -> None:
        if text:
            self._text.append(text if keep_spaces else _SPACES.sub(" ", text))

    def _table(self, table: etree._Element) -> None:
        grid = Grid()
        for caption in table.iterchildren("caption"):
            self.block(caption)
        for number, row in enumerate(_rows(table)):
            column = 0
            for cell in row.iterchildren("td", "th"):
                column = grid.free_column(number, column)
                columns = _span(cell, "colspan")
                grid.place(number, column, self._cell(cell), _span(cell, "rowspan"), columns)
                column += columns
        self.elements += grid.elements()

    def _cell(self, cell: etree._Element) -> str:
        if _is_hidden(cell):
            self.hidden += 1
            return ""
        inner = _Walker()
        inner._inside(cell, keep_spaces=False)
        inner.flush()
        self.hidden += inner.hidden
        return "\n".join(element.text for element in inner.elements)


def _rows(table: etree._Element) -> list[etree._Element]:
    rows: list[etree._Element] = []
    for child in table:
        if child.tag == "tr":
            rows.append(child)
        elif child.tag in ("thead", "tbody", "tfoot"):
            rows += child.iterchildren("tr")
    return [row for row in rows if not _is_hidden(row)]


def _is_data_table(table: etree._Element) -> bool:
    # Pages of the old school lay themselves out with tables in tables.
    return next(table.iterdescendants("table", "h1", "h2", "h3"), None) is None


def _number(item: etree._Element) -> str:
    """What the browser prints before an item of a numbered list."""
    parent = item.getparent()
    if item.tag != "li" or parent is None or parent.tag != "ol":
        return ""
    start = parent.get("start") or "1"
    before = sum(1 for _ in item.itersiblings("li", preceding=True))
    return f"{(int(start) if start.isdecimal() and len(start) < 6 else 1) + before}. "


def _is_hidden(node: etree._Element) -> bool:
    return node.get("hidden") is not None or _HIDDEN.search(node.get("style") or "") is not None


def _span(cell: etree._Element, name: str) -> int:
    value = cell.get(name) or "1"
    return int(value) if value.isdecimal() and len(value) < 6 else 1
