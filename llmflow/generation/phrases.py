"""What an answer itself says, in the language of the question."""

from __future__ import annotations

import re
from typing import Final, Literal

Language = Literal["ko", "en"]

ABSTENTION: Final[dict[Language, str]] = {
    "ko": "문서에서 근거를 찾지 못했습니다",
    "en": "no evidence found in the documents",
}
UNSUPPORTED: Final[dict[Language, str]] = {"ko": "[근거 없음]", "en": "[unsupported]"}
QUOTED: Final[dict[Language, str]] = {
    "ko": "문서에서 그대로 인용한 내용입니다.",
    "en": "Quoted from the documents:",
}

_ABSTAINS = re.compile(r"근거를\s*찾지\s*못했|근거를\s*찾을\s*수\s*없|\bno evidence (?:was )?found\b", re.IGNORECASE)


def abstains(sentence: str) -> bool:
    """Whether a generated sentence says that the documents do not answer."""
    return _ABSTAINS.search(sentence) is not None
