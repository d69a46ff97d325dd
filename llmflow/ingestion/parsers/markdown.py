"""Markdown, CommonMark with tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from llmflow.ingestion.parsers.base import Content, Source
from llmflow.ingestion.parsers.decoding import decode
from llmflow.ingestion.parsers.html import parse_html
from llmflow.ingestion.parsers.structure import join_wrapped
from llmflow.ingestion.parsers.tables import table_elements
from llmflow.schema import Element, ElementType

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
_TITLE_KEYS = ("제목", "title", "Title")
# Statutes and minutes indent their sub-items; nobody means code by that.
_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table").disable("code")


def parse(source: Source) -> Content:
    """Headings with levels, paragraphs, list items, tables and code of a Markdown file.

    YAML front matter gives the title (``제목`` or ``title``) and is left out.
    """
    text = decode(source.data)[0].replace("\r\n", "\n")
    title = None
    front = _FRONT_MATTER.match(text)
    if front:
        title = _front_title(front[1])
        text = text[front.end() :]
    reader = _Reader()
    reader.read(_MARKDOWN.parse(text))
    return Content(elements=reader.elements, title=title)


def _front_title(front: str) -> str | None:
    try:
        values = yaml.safe_load(front)
    except yaml.YAMLError:
        return None
    if not isinstance(values, dict):
        return None
    return next((str(values[key]) for key in _TITLE_KEYS if values.get(key)), None)


class _Reader:
    def __init__(self) -> None:
        self.elements: list[Element] = []
        self._list_depth = 0
        self._heading: int | None = None
        self._rows: list[list[str]] | None = None
        self._number = ""

    def read(self, tokens: Sequence[Token]) -> None:
        for token in tokens:
            kind = token.type
            if kind == "inline":
                self._inline(token)
            elif kind == "heading_open":
                self._heading = int(token.tag[1])
            elif kind == "heading_close":
                self._heading = None
            elif kind in ("bullet_list_open", "ordered_list_open"):
                self._list_depth += 1
            elif kind in ("bullet_list_close", "ordered_list_close"):
                self._list_depth -= 1
            elif kind == "list_item_open":
                self._number = f"{token.info}{token.markup} " if token.info else ""
            elif kind == "table_open":
                self._rows = []
            elif kind == "tr_open" and self._rows is not None:
                self._rows.append([])
            elif kind == "table_close" and self._rows is not None:
                self.elements += table_elements(self._rows)
                self._rows = None
            elif kind == "fence":
                self.elements.append(Element(ElementType.NARRATIVE_TEXT, token.content))
            elif kind == "html_block":
                self.elements += parse_html(token.content).elements

    def _inline(self, token: Token) -> None:
        text = _plain(token.children or [])
        if self._rows is not None:
            self._rows[-1].append(text)
        elif self._heading is not None:
            self.elements.append(Element(ElementType.TITLE, text.replace("\n", " "), level=self._heading))
        else:
            kind = ElementType.LIST_ITEM if self._list_depth else ElementType.NARRATIVE_TEXT
            self.elements.append(Element(kind, self._number + join_wrapped(text)))
            self._number = ""


def _plain(children: Sequence[Token]) -> str:
    parts: list[str] = []
    for child in children:
        if child.type in ("text", "code_inline", "text_special", "image"):
            parts.append(child.content)
        elif child.type in ("softbreak", "hardbreak") or child.content.lower().startswith("<br"):
            parts.append("\n")
    return "".join(parts)
