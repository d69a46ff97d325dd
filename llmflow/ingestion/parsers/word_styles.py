"""What a Word paragraph is: heading, list item or text, and the number Word prints before it."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from docx.oxml.ns import qn
from lxml import etree

from llmflow.schema import ElementType

_HEADING_NAME = re.compile(r"^(?:heading|제목|개요)\s*(\d)$", re.I)
_PLACEHOLDER = re.compile(r"%(\d)")
_HANGUL = "가나다라마바사아자차카타파하"
_MAX_DEPTH = 20


class Styles:
    """Reads styles.xml and numbering.xml of one document; counts list numbers as it goes."""

    def __init__(self, document: Any) -> None:
        self._styles = {style.style_id: style.element for style in document.styles}
        self._default = next(
            (
                s.get(qn("w:styleId"))
                for s in document.styles.element.iter(qn("w:style"))
                if s.get(qn("w:default")) == "1"
            ),
            None,
        )
        self._levels, self._abstract = _numbering(document)
        self._counts: dict[str, dict[int, int]] = defaultdict(dict)

    def of(self, paragraph: etree._Element) -> tuple[ElementType, int | None, str]:
        """Type, title level (None unless a title) and printed number ("" where none) of a paragraph."""
        style = self._find(paragraph, "w:pStyle")
        chain = self._chain(style if style else self._default)
        label, listed = self._number(paragraph, chain)
        level = self._level(paragraph, chain)
        if level is not None:
            return ElementType.TITLE, level, label
        return (ElementType.LIST_ITEM if listed else ElementType.NARRATIVE_TEXT), None, label

    def _chain(self, style: str | None) -> list[etree._Element]:
        chain: list[etree._Element] = []
        while style in self._styles and len(chain) < _MAX_DEPTH:
            chain.append(self._styles[style])
            style = (
                chain[-1].find(qn("w:basedOn")).get(qn("w:val"))
                if chain[-1].find(qn("w:basedOn")) is not None
                else None
            )
        return chain

    def _level(self, paragraph: etree._Element, chain: list[etree._Element]) -> int | None:
        for node in (paragraph, *chain):
            outline = self._find(node, "w:outlineLvl")
            if outline and outline.isdecimal():
                return int(outline) + 1 if int(outline) < 9 else None
            name = node.find(qn("w:name"))
            value = (name.get(qn("w:val")) or "").strip() if name is not None else ""
            if value.lower() in ("title", "제목"):
                return 1
            heading = _HEADING_NAME.match(value)
            if heading:
                return int(heading[1])
        return None

    def _number(self, paragraph: etree._Element, chain: list[etree._Element]) -> tuple[str, bool]:
        number = level = None
        for node in (paragraph, *chain):
            number = number or self._find(node, "w:numPr", "w:numId")
            level = level or self._find(node, "w:numPr", "w:ilvl")
        if number is None or number == "0" or number not in self._abstract:
            return "", False
        depth = int(level) if level and level.isdecimal() else 0
        key = self._abstract[number]
        counts = self._counts[key]
        counts[depth] = counts.get(depth, self._levels.get((key, depth), ("", "", 1))[2] - 1) + 1
        for deeper in [other for other in counts if other > depth]:
            del counts[deeper]
        return self._label(key, depth, counts), True

    def _label(self, key: str, depth: int, counts: dict[int, int]) -> str:
        kind, pattern, _ = self._levels.get((key, depth), ("bullet", "", 1))
        if kind in ("bullet", "none"):
            return ""

        def printed(match: re.Match[str]) -> str:
            place = int(match[1]) - 1
            kind, _, start = self._levels.get((key, place), ("decimal", "", 1))
            return _format(counts.get(place, start), kind)

        return _PLACEHOLDER.sub(printed, pattern)

    @staticmethod
    def _find(node: etree._Element, *path: str) -> str | None:
        found = node.find("/".join([qn("w:pPr"), *(qn(step) for step in path)]))
        return found.get(qn("w:val")) if found is not None else None


def _numbering(document: Any) -> tuple[dict[tuple[str, int], tuple[str, str, int]], dict[str, str]]:
    """(abstract list, depth) -> (format, pattern, start), and list id -> abstract list."""
    levels: dict[tuple[str, int], tuple[str, str, int]] = {}
    abstract: dict[str, str] = {}
    part = next((r.target_part for r in document.part.rels.values() if r.reltype.endswith("/numbering")), None)
    if part is None:
        return levels, abstract
    root = part.element

    def value(node: etree._Element, tag: str, default: str) -> str:
        found = node.find(qn(tag))
        return (found.get(qn("w:val")) if found is not None else None) or default

    for definition in root.iter(qn("w:abstractNum")):
        for level in definition.iter(qn("w:lvl")):
            start = value(level, "w:start", "1")
            levels[definition.get(qn("w:abstractNumId")), int(level.get(qn("w:ilvl")) or 0)] = (
                value(level, "w:numFmt", "decimal"),
                value(level, "w:lvlText", ""),
                int(start) if start.isdecimal() else 1,
            )
    for number in root.iter(qn("w:num")):
        abstract[number.get(qn("w:numId"))] = value(number, "w:abstractNumId", "")
    return levels, abstract


def _format(number: int, kind: str) -> str:
    if kind == "ganada" and 0 < number <= len(_HANGUL):
        return _HANGUL[number - 1]
    if kind in ("lowerLetter", "upperLetter") and 0 < number <= 26:
        letter = chr(ord("a") + number - 1)
        return letter if kind == "lowerLetter" else letter.upper()
    if kind == "decimalEnclosedCircle" and 0 < number <= 20:
        return chr(ord("①") + number - 1)
    if kind in ("lowerRoman", "upperRoman") and 0 < number < 4000:
        roman = _roman(number)
        return roman if kind == "upperRoman" else roman.lower()
    return str(number)


def _roman(number: int) -> str:
    digits = ((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"))
    small = ((10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))
    text = ""
    for value, letters in digits + small:
        count, number = divmod(number, value)
        text += letters * count
    return text
