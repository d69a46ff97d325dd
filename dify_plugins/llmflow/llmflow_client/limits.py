"""What fits into a message to Dify.

Dify ends a plugin that writes a line of over 5 MB, and with it the runs of all other users.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from typing import Any

MOST_BYTES = 1_000_000
"""Of one value as JSON; a message holds four large ones at most."""
_CUT = "…"


def size(value: Any) -> int:
    """Bytes of a value as JSON in UTF-8, which is how the SDK writes it."""
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def fit(value: Any, room: int = MOST_BYTES) -> Any:
    """The value itself where it takes no more than ``room`` bytes; else as much of its beginning as does.

    A text ends with an ellipsis then. A list loses its last items, and only if the first alone is too
    large is that cut; an object keeps its keys as long as there is room.
    """
    if size(value) <= room:
        return value
    if isinstance(value, str):
        return _beginning(value, room)
    if isinstance(value, list):
        return _first(value, room)
    if isinstance(value, dict):
        return _cut_values(value, room)
    return value


def _beginning(text: str, room: int) -> str:
    text = text[:room]
    length = bisect_right(range(len(text)), room, key=lambda length: size(text[:length] + _CUT)) - 1
    return text[: max(0, length)] + _CUT


def _first(items: list[Any], room: int) -> list[Any]:
    kept: list[Any] = []
    room -= 2
    for item in items:
        taken = size(item) + 2
        if taken > room:
            break
        kept.append(item)
        room -= taken
    return kept or [fit(items[0], room - 2)]


def _cut_values(values: dict[str, Any], room: int) -> dict[str, Any]:
    """Small values first, so that a large text does not cost what is known of it."""
    fitted: dict[str, Any] = {}
    room -= 2
    for key in sorted(values, key=lambda key: size(values[key])):
        around = size(key) + 4
        if room <= around:
            break
        fitted[key] = fit(values[key], room - around)
        room -= around + size(fitted[key])
    return {key: fitted[key] for key in values if key in fitted}
