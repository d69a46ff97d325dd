"""Identifiers of any country: e-mail, payment cards, IBAN, network addresses, US numbers.

``\\b`` does not end a word between a digit and Hangul, so boundaries are written out: values
that touch Hangul (``hong@example.com입니다``) are found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llmflow.pii import checks


@dataclass(frozen=True, slots=True)
class Identifier:
    """How to find one entity type.

    ``needs`` is a cheap regular expression without which a text holds none of it (searched
    first: most texts hold few identifiers). ``patterns`` are (regular expression, score).
    ``context`` are lower-case words that, standing near, raise a score by .35. ``check`` is
    one of :mod:`llmflow.pii.checks`.
    """

    entity: str
    needs: str
    patterns: tuple[tuple[str, float], ...]
    context: tuple[str, ...] = ()
    check: Callable[[str], bool | None] | None = None
    ignore_case: bool = True


def alone(pattern: str) -> str:
    """``pattern``, starting with a digit, ``(`` or ``+``, where no digits or hyphens stand before or go on."""
    return rf"(?=[\d(+])(?<![\d*])(?<![\dA-Za-z]-)(?:{pattern})(?![\d*]|-[\dA-Za-z])"


def labelled(labels: str, pattern: str) -> str:
    """``pattern`` behind one of ``labels`` on the same line, at most ten other characters between."""
    return rf"(?=[\d(+])(?<=(?:{labels})[^\d\n\[\]]{{0,10}}){alone(pattern)}"


_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_IP_V4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}(?:/(?:3[0-2]|[12]?\d)(?!\d))?(?!\.?\d)"
_IP_V6 = r"(?<![\w:.])(?=[\da-f:]*\d)(?:[\da-f]{0,4}:){2,7}[\da-f]{0,4}(?:/\d{1,3})?(?![A-Za-z0-9:])"
_YEARS = r"(?:(?:19|20)\d\d[- ]){3}(?:19|20)\d\d"
_CARD_START = r"(?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|6(?:011|5\d\d)|35\d\d|9[4-6]\d\d)"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_BIRTH_DATE = (
    r"(?:19|20)?\d{2}\s?년\s?\d{1,2}\s?월(?:\s?\d{1,2}\s?일)?"
    r"|(?:19|20)?\d{2}\s?[-./]\s?(?:1[0-2]|0?[1-9])\s?[-./]\s?(?:3[01]|[12]\d|0?[1-9])"
    r"|(?:1[0-2]|0?[1-9]|[12]\d|3[01])[-/.](?:3[01]|[12]\d|0?[1-9])[-/.](?:19|20)\d{2}"
    r"|(?:19|20)\d{2}(?:1[0-2]|0[1-9])(?:3[01]|[12]\d|0[1-9])|\d{2}(?:1[0-2]|0[1-9])(?:3[01]|[12]\d|0[1-9])"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?\s{_MONTH},?\s(?:19|20)\d{{2}}"
)
_BORN = r"생(?!산|활|명|물|각|긴|겨|성|존|전|애|계|태|식|환|기|략|맥|방)"

PHONE_CONTEXT = (
    *("전화", "연락처", "휴대폰", "핸드폰", "직통", "대표번호", "내선", "☎"),
    *("tel", "telephone", "phone", "mobile", "cell", "cellphone", "call", "contact", "number", "desk"),
    *("message", "messages", "answering"),
)
NOT_A_DATE = r"(?!(?:19|20)\d{2}[-./ ]\d{1,2}[-./ ])(?!(?:19|20)\d{2}-(?:19|20)\d{2}(?!\d))"

GENERAL = (
    Identifier(
        "EMAIL",
        r"@",
        ((r"(?<![a-z0-9._%+-])[a-z0-9._%+-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}(?![a-z0-9])", 0.95),),
    ),
    Identifier(
        "CREDIT_CARD",
        r"\d{4}",
        (
            (alone(rf"(?!{_YEARS})\d{{4}}([- ])\d{{4}}\1\d{{4}}\1\d{{4}}"), 0.5),
            (alone(r"3[47]\d\d([- ])\d{6}\1\d{5}|3[068]\d\d([- ])\d{6}\2\d{4}"), 0.5),
            (alone(r"\d{4}([- ])(?:\d{4}\1[*x]{4}|\d{2}[*x]{2}\1[*x]{4}|[*x]{4}\1[*x]{4})\1\d{4}"), 0.5),
            (alone(rf"{_CARD_START}\d{{12}}|3[47]\d{{13}}|3[068]\d{{12}}|(?:1800|2131)\d{{11}}|4\d{{12}}"), 0.4),
        ),
        check=checks.card,
    ),
    Identifier(
        "CREDIT_CARD",
        r"\d{12}",
        ((labelled(r"\bcard(?:\s(?:number|no\b|#))?(?:\sis)?|\bcc\b|카드(?:\s?번호)?", r"\d{12,19}"), 0.4),),
        check=checks.card,
    ),
    Identifier(
        "IBAN",
        r"[a-z]{2}\d\d",
        ((r"(?<![A-Za-z0-9])[a-z]{2}\d{2}(?:[ ]?[a-z0-9]{4}){2,7}(?:[ ]?[a-z0-9]{1,3})?(?![A-Za-z0-9])", 0.5),),
        check=checks.iban,
    ),
    Identifier(
        "IP_ADDRESS",
        r"\d\.\d",
        (
            (rf"(?<![\d.-])(?=(?:\d\.)*\d{{2}}){_IP_V4}", 0.6),
            # Four single digits are more often a section number.
            (rf"(?<![\d.-]){_IP_V4}", 0.2),
        ),
        context=("ip", "dns", "서버", "접속", "server", "host", "gateway", "subnet", "주소"),
    ),
    Identifier("IP_ADDRESS", r":[\da-f]*:", ((_IP_V6, 0.6),), check=checks.ip_v6),
    Identifier(
        "DATE_OF_BIRTH",
        r"생|birth|born|\bd\.?o\.?b",
        (
            (rf"(?<!\d)(?:19|20)?\d{{2}}\s?년\s?\d{{1,2}}\s?월\s?\d{{1,2}}\s?일\s?(?:출생|{_BORN})", 0.85),
            (rf"(?<!\d)(?:19|20)?\d{{2}}[.]\s?\d{{1,2}}[.]\s?\d{{1,2}}[.]?\s?(?:출생|{_BORN})", 0.85),
            (rf"(?<!\d)(?:19|20)?\d{{2}}년{_BORN}|(?<!\d)(?:19|20)\d{{2}}년\s?출생", 0.7),
            (
                labelled(r"생년\s?월일|생\s?일|출생\s?일자?|출생\s?연월일|출생|\bd\.?o\.?b|birth|born", _BIRTH_DATE),
                0.85,
            ),
            (
                rf"(?={_MONTH}\s\d)(?<=(?:\bd\.?o\.?b\b|birth|born)[^\d\n\[\]]{{0,10}}\b)"
                rf"{_MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?,?\s(?:19|20)\d\d(?!\d)",
                0.85,
            ),
            (r"(?<=\bborn\s(?:in\s)?)(?:19|20)\d{2}(?!\d)", 0.7),
        ),
    ),
    Identifier(
        "US_SSN",
        r"\d{4}",
        (
            (alone(r"(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}"), 0.6),
            (labelled(r"\bssn\b|social security", r"(?!000|666|9)\d{3}[- ]?(?!00)\d{2}[- ]?(?!0000)\d{4}"), 0.8),
        ),
    ),
    Identifier(
        "PHONE_NUMBER",
        r"\d{2}",
        (
            # North America.
            (
                alone(
                    r"(?:\+?1[-. ])?(?:\([2-9]\d{2}\)\s?|[2-9]\d{2}[-. ])\d{3}[-. ]\d{4}(?:\s?(?:x|ext\.?)\s?\d{1,6})?"
                ),
                0.6,
            ),
            (r"(?<![\d+])\+[1-9]\d{0,2}[-. ]?(?:\(\d{1,4}\)[-. ]?)?\d{1,4}(?:[-. ]?\d{2,4}){2,4}(?![\d-])", 0.6),
            # Any grouping, given a word for it.
            (alone(rf"{NOT_A_DATE}(?:\(\d{{2,4}}\)|\d{{2,4}})(?:[-. ]\d{{2,7}}){{1,4}}"), 0.15),
            (labelled(r"\b(?:phone|mobile|cell|tel|desk)(?:\s(?:number|no\.?))?", r"\d{9,12}"), 0.6),
        ),
        context=PHONE_CONTEXT,
        check=checks.phone_number,
    ),
)
"""What is looked for in text of every language."""
