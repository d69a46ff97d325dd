"""What numbering says about text: headings of statutes and rules, list markers, wrapped lines."""

from __future__ import annotations

import re
from collections.abc import Iterable

from llmflow.schema import Element, ElementType

_DIVISION_LEVEL = {"편": 1, "장": 2, "절": 3, "관": 4}
ARTICLE_LEVEL = 5
_DIVISION = re.compile(r"^제\s?\d+\s?(?P<kind>[편장절관])(?:의\s?\d+)?(?:\s+\S.*)?$")
_SUPPLEMENT = re.compile(r"^부\s*칙\s*(?:[<(\[].*)?$")
_ARTICLE = re.compile(
    r"^(?P<head>제\s?\d+\s?조(?:의\s?\d+)?\s?[(（][^()（）]*(?:\([^()]*\)[^()（）]*)*[)）])(?P<rest>.*)$", re.S
)
_ARTICLE_LINE = re.compile(r"^제\s?\d+\s?조(?:의\s?\d+)?\s+(?!제|및|또는|내지|에|의)\S.{0,38}$")
# What follows the name of an article in running text.
_REFERENCE = re.compile(r"^\s*(?:제\s?\d+\s?[항호]|및|또는|,)|^[의을를은는이가과와에으로부터까지]")
LEADER = re.compile(r"[.·…‥⋯]{3,}\s*\d*$")
_MAX_HEADING = 60

BULLET = re.compile(r"[-–—•·ㆍ▪■□○●◦◆◇▶►▷☞※❍∙*]\s*\S")
"""The start of a bulleted line."""

MARKER = re.compile(
    BULLET.pattern + r"|[①-⑳㉠-㉻⓵-⓾❶-❿ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩ]"
    r"|[(<\[]?\d{1,3}(?:의\d+)?[.)>\]](?!\d)"
    r"|\d{1,2}(?:[.-]\d{1,2}){1,4}\.?\s"
    r"|[(]?[가나다라마바사아자차카타파하][.)]\s*\S"
    r"|[(]?[a-zA-Z][.)]\s"
    r"|제\s?\d+\s?조(?:의\s?\d+)?(?:\s?[(（]|\s+(?!제|및|또는|내지|에|의))"
    r"|제\s?\d+\s?[편장절관](?:의\s?\d+)?\s"
    r"|부\s*칙\s*(?:[<(\[]|$)"
)
"""The start of a numbered or bulleted line."""


def with_headings(elements: Iterable[Element]) -> list[Element]:
    """Turn 제N장 lines, 부칙 and 제N조(...) heads of paragraphs into titles.

    An article's text stays behind its title as an element of its own. Levels: 편 1, 장 2,
    절 3, 관 4, 조 5.
    """
    found: list[Element] = []
    for element in elements:
        if element.type in (ElementType.NARRATIVE_TEXT, ElementType.LIST_ITEM, ElementType.TITLE):
            found += _split_heading(element)
        else:
            found.append(element)
    return found


def _split_heading(element: Element) -> list[Element]:
    text = element.text
    division = _DIVISION.match(text) if len(text) <= _MAX_HEADING and not LEADER.search(text) else None
    if division and not text.endswith((".", "다", ",")):
        return [_title(element, text, _DIVISION_LEVEL[division["kind"]])]
    if len(text) <= _MAX_HEADING and _SUPPLEMENT.match(text):
        return [_title(element, text, _DIVISION_LEVEL["장"])]
    if _ARTICLE_LINE.match(text) and not text.endswith((".", "다", ",")) and not LEADER.search(text):
        return [_title(element, text, ARTICLE_LEVEL)]
    article = _ARTICLE.match(text)
    if article is None or _REFERENCE.match(article["rest"]) or LEADER.search(text):
        return [element]
    head = _title(element, article["head"], ARTICLE_LEVEL)
    rest = article["rest"].strip()
    if not rest:
        return [head]
    return [head, Element(ElementType.NARRATIVE_TEXT, rest, element.page, element.coordinates)]


def _title(element: Element, text: str, level: int) -> Element:
    return Element(ElementType.TITLE, text, element.page, element.coordinates, level)


def join_wrapped(text: str) -> str:
    """Undo hard line breaks, keeping those before numbered or bulleted lines."""
    lines = text.split("\n")
    joined = lines[0].strip()
    for line in lines[1:]:
        line = line.strip()
        joined += ("\n" if not line or MARKER.match(line) else " ") + line
    return joined
