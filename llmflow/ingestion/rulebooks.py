"""Books of rules: where one regulation ends and the next begins.

A company's rule book strings regulations together; each begins with its name on a line of
its own and counts its articles from 제1조 again. Formats without styles (HWPX, text) call
that name a paragraph like any other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from llmflow.schema import Element, ElementType

_NAME = re.compile(
    r"(?!제\s*\d|\d|[①-⑳])[^.,:;]{2,50}(?:규정|규칙|세칙|내규|지침|정관|학칙|규약|강령|요령|준칙|조례)(?:\s*[(<【].*)?$"
)
_BEGINNING = re.compile(r"제\s*1\s*(?:조\s*[(（【]|조$|[편장절]\s)")
_REACH = 3
"""Lines that may stand between the name and 제1조: dates, a former name."""


def with_rule_names(elements: Sequence[Element]) -> list[Element]:
    """``elements`` with the names of regulations as titles of the highest level."""
    found = list(elements)
    for position, element in enumerate(elements):
        if not _BEGINNING.match(element.text):
            continue
        for before in range(position - 1, max(position - 1 - _REACH, -1), -1):
            earlier = elements[before]
            if earlier.type is not ElementType.NARRATIVE_TEXT:
                break
            if _NAME.match(earlier.text):
                found[before] = replace(earlier, type=ElementType.TITLE, level=1)
                break
    return found
