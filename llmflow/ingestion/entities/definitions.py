"""Terms a text defines: "선불전자지급수단"이란 ... 말한다, “Service” means ..."""

from __future__ import annotations

import re
from collections.abc import Iterator

_DEFINED = re.compile(
    r"[\"“'‘「]([^\"“”'‘’「」]{2,40})[\"”'’」](?:\s*\([^)]*\))?\s*"
    r"(?:이?란(?![가-힣])|이?라\s*함은|\s(?:means|shall mean|refers to)\b)"
)


def find_definitions(text: str) -> Iterator[str]:
    """The defined terms, in order."""
    for match in _DEFINED.finditer(text):
        yield match[1].strip()
