"""Whole sentences out of a stream of pieces, each with the citations that follow it."""

from __future__ import annotations

import re

MARKER = r"\[\s*(?:(?:passage|source|document|문단|문서|출처)\s*)?\d{1,3}(?:\s*,\s*\d{1,3})*\s*\]"
"""A citation: [1], [1, 2], also [passage 1]."""

_END = re.compile(
    rf"(?:(?P<stop>[.!?。…]+)[\"'”’)*_]*|(?=\n))(?:\s*{MARKER})*(?:[.。](?!\d))?"
    rf"(?=\s+(?:[^\s\[]|(?!{MARKER})\[[^\]]*\]))",
    re.IGNORECASE,
)
_NO_END = re.compile(
    r"(?:(?:^|\n)[\s>*#-]*(?:\d{1,3}|[A-Za-z가-하])|\b(?:e\.g|i\.e|no|dr|mr|mrs|ms|vs|co|ltd|inc))$", re.IGNORECASE
)


class SentenceBuffer:
    """Holds back text until a sentence is whole, its citations included.

    The sentences given out, joined, are the text put in; each keeps the white space before it.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> list[str]:
        """Add a piece; returns the sentences it completed."""
        self._held += piece
        found, start = [], 0
        for match in _END.finditer(self._held):
            if match.end() > start and self._held[start : match.end()].strip() and not self._goes_on(match, start):
                found.append(self._held[start : match.end()])
                start = match.end()
        self._held = self._held[start:]
        return found

    def flush(self) -> str:
        """What is left at the end of the stream."""
        rest, self._held = self._held.rstrip(), ""
        return rest

    def _goes_on(self, match: re.Match[str], start: int) -> bool:
        """Whether the full stop belongs to a list number, an abbreviation or a date (2026. 3. 1.)."""
        if match["stop"] != ".":
            return False
        before = self._held[start : match.start()]
        after = self._held[match.end() :].lstrip()
        return _NO_END.search(before) is not None or (before[-1:].isdigit() and after[:1].isdigit())
