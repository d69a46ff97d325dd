"""From bytes to text."""

from __future__ import annotations

import codecs
import re
import unicodedata

from charset_normalizer import from_bytes

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 65536
_COMMON = re.compile(
    "[\t\n\r -~\xa0-\xff\u2010-\u2027\u2460-\u2473\u25a0-\u25ff\u3000-\u318e\u4e00-\u9fff가-힣\uff01-\uff5e]"
)


def decode(data: bytes, declared: str | None = None) -> tuple[str, str]:
    """Text of ``data`` and the encoding it was read with.

    In this order: byte order mark, UTF-8, the ``declared`` encoding, UTF-16 by its zero
    bytes, CP949 where that gives common Hangul, CP1252 where that gives Latin letters,
    charset-normalizer's best guess, and UTF-8 with replacement characters.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace"), encoding.removesuffix("-sig")
    for candidate in (_utf16_guess(data), "utf-8", declared, "cp949", "cp1252"):
        text = _try(data, candidate) if candidate else None
        if candidate and text is not None and _plausible(text, candidate, candidate == declared):
            return text, candidate
    best = from_bytes(data[:_SAMPLE]).best()
    encoding = best.encoding if best else "utf-8"
    return data.decode(encoding, "replace"), encoding


def looks_binary(data: bytes) -> bool:
    """Whether ``data`` is no text in any of the encodings :func:`decode` knows."""
    sample = data[:_SAMPLE]
    if any(sample.startswith(mark) for mark, _ in _BOMS) or _utf16_guess(sample):
        return False
    controls = sum(byte < 9 or (13 < byte < 32 and byte != 27) for byte in sample)
    return b"\0" in sample or controls > len(sample) / 20


def _utf16_guess(data: bytes) -> str | None:
    # ASCII characters have a zero byte; in the wrong byte order text is made of rare characters.
    sample = data[: 4096 if len(data) > 4096 else len(data) // 2 * 2]
    for encoding in ("utf-16-le", "utf-16-be") if 0 in sample else ():
        text = _try(sample, encoding)
        if text and len(_COMMON.findall(text)) >= 0.95 * len(text):
            return encoding
    return None


def _try(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        # A file cut in the middle of a character is still in this encoding.
        try:
            return codecs.getincrementaldecoder(encoding)("strict").decode(data, final=False)
        except UnicodeDecodeError:
            return None
    except LookupError:
        return None


def _plausible(text: str, encoding: str, declared: bool) -> bool:
    if declared or encoding.startswith("utf"):
        return True
    special = [character for character in text[:_SAMPLE] if ord(character) > 127]
    if encoding == "cp949":
        # KS X 1001 holds the 2,350 syllables in use; accidents land among the other 8,822.
        good = sum("가" <= c <= "힣" and c.encode("euc_kr", "ignore") != b"" for c in special)
        return good >= 0.6 * len(special)
    good = sum(unicodedata.category(c)[0] in "LPS" for c in special)
    return good >= 0.95 * len(special) and len(special) <= 0.35 * max(len(text[:_SAMPLE]), 1)
