"""Reads what models write: JSON amid prose, answers around thoughts, the language of a question."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

Language = Literal["ko", "en"]

_HANGUL = re.compile("[가-힣ㄱ-ㅎㅏ-ㅣ]")
_DECODER = json.JSONDecoder(strict=False)
_MOST_READ = 100_000


def language_of(text: str) -> Language:
    """Korean if there is any Hangul in it, else English."""
    return "ko" if _HANGUL.search(text) else "en"


def without_thoughts(text: str) -> str:
    """What a reasoning model says after its thoughts; nothing where they never end."""
    return text.rpartition("</think>")[2].partition("<think>")[0].strip()


def objects_in(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text, in order, outermost ones only."""
    text = text[:_MOST_READ]
    position = text.find("{")
    while position >= 0:
        try:
            found, end = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            end = position + 1
        else:
            yield found
        position = text.find("{", end)
