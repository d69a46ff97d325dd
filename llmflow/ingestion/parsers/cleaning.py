"""Repair of extracted text: encoding accidents, control characters, spaces."""

from __future__ import annotations

import re
import unicodedata

import ftfy
from ftfy.badness import is_bad

# Curly quotes and full-width characters are what the author wrote; they stay.
_REPAIR = ftfy.TextFixerConfig(
    unescape_html=False, uncurl_quotes=False, fix_character_width=False, normalization="NFC", explain=False
)
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffc"
    "\ue000-\uf8ff\U000e0000-\U000e0fff\U000f0000-\U0010fffd]"
)
_SPACES = re.compile(r"[^\S\n]+")
_BREAKS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_LEADERS = re.compile(r"(?:[.·…‥⋯_]\s?){5,}")
_EMPTY_LINES = re.compile(r"\n{3,}")


def clean(text: str) -> str:
    """NFC text without control, invisible and private-use characters, mojibake mended.

    The dots that lead to page numbers become one ellipsis, runs of spaces one space; lines
    are stripped, at most one blank line stays.
    """
    if is_bad(text):
        text = ftfy.fix_text(text, _REPAIR)
    text = _LEADERS.sub(" … ", text)
    text = _INVISIBLE.sub("", _BREAKS.sub("\n", unicodedata.normalize("NFC", text)))
    text = "\n".join(line.strip() for line in _SPACES.sub(" ", text).split("\n"))
    return _EMPTY_LINES.sub("\n\n", text).strip()
