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
_MOST_TRIES = 200
"""Braces at which an object is looked for: each costs a reading of what follows."""
_DEEPEST = 50
"""Levels of JSON; the SDK fails to write what is nested some 250 deep."""


def language_of(text: str) -> Language:
    """Korean if there is any Hangul in it, else English."""
    return "ko" if _HANGUL.search(text) else "en"


def begins_in_thought(text: str) -> bool:
    """Whether thoughts end that were not begun: the model's template has opened them."""
    thoughts, ended, _ = text.partition("</think>")
    return bool(ended) and "<think>" not in thoughts


def without_thoughts(text: str) -> str:
    """What a reasoning model says after its thoughts; nothing where they never end."""
    return text.rpartition("</think>")[2].partition("<think>")[0].strip()


def objects_in(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text, in order, outermost ones only, as far as one that is nested too deeply."""
    text = text[:_MOST_READ]
    end = 0
    for _ in range(_MOST_TRIES):
        position = text.find("{", end)
        if position < 0:
            return
        try:
            found, end = _DECODER.raw_decode(text, position)
            found = _clean(found)
        except ValueError:
            end = position + 1
        except RecursionError:
            return
        else:
            yield found


def object_of(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, if it is one and not nested too deeply."""
    try:
        value = _clean(_DECODER.decode(text))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _clean(value: Any, levels: int = _DEEPEST) -> Any:
    """The value without halves of surrogate pairs, which no message can carry.

    Raises:
        RecursionError: it is nested deeper than ``levels``.
    """
    if levels < 0:
        raise RecursionError
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case list():
            return [_clean(each, levels - 1) for each in value]
        case dict():
            return {_clean(key): _clean(each, levels - 1) for key, each in value.items()}
    return value
