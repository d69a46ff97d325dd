"""An estimate of tokens where the server is not asked."""

from __future__ import annotations

import re

_KINDS = (re.compile("[가-힣]"), re.compile("[A-Za-zªµºÀ-ÖØ-öø-ɏ]"), re.compile(r"\d"), re.compile(r"\S"))


def estimated_tokens(text: str) -> int:
    """About how many tokens a multilingual model makes of ``text``, counted as LLMFlow does.

    Two Hangul syllables, six Latin letters, three digits or one other visible character are a token.
    """
    hangul, latin, digits, visible = (len(kind.findall(text)) for kind in _KINDS)
    return -(-hangul // 2) + -(-latin // 6) + -(-digits // 3) + visible - hangul - latin - digits
