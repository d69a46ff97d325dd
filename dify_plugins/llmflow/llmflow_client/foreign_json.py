"""JSON that others wrote, as it can be handed on: Dify's SDK fails at half a surrogate pair and at deep nesting."""

from __future__ import annotations

import json
import math
from typing import Any

_DEEPEST = 100


def read(text: str | bytes) -> Any:
    """The value of a JSON text, cleaned.

    Raises:
        ValueError: it is not JSON in UTF-8, is nested too deeply, or has a number that is infinite or none.
    """
    try:
        text = text.decode() if isinstance(text, bytes) else text
        value = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return cleaned(value)


def cleaned(value: Any, depth: int = 0) -> Any:
    """The value with a question mark for each half of a surrogate pair.

    Raises:
        ValueError: it is nested too deeply, or has something in it that JSON does not have.
    """
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    match value:
        case str():
            return clean(value)
        case list():
            return [cleaned(each, depth + 1) for each in value]
        case dict() if all(isinstance(key, str) for key in value):
            return {clean(key): cleaned(each, depth + 1) for key, each in value.items()}
        case None | bool() | int() | float():
            return value
        case _:
            raise ValueError(f"{type(value).__name__} is not of JSON")


def clean(text: str) -> str:
    """A text with a question mark for each half of a surrogate pair."""
    return text.encode("utf-8", "replace").decode()


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is not a finite number")
    return number
