"""Numbers as values, so that "4만 원", "40,000원" and "KRW 40,000" are the same."""

from __future__ import annotations

import re

_NUMBER = re.compile(
    r"(?P<digits>\d[\d,]*(?:\.\d+)?)"
    r"(?:\s?(?P<unit>천만|백만|십만|만|천억|백억|십억|억|천|백|조(?=\s?(?:원|달러))|thousand\b|million\b|billion\b))?",
    re.IGNORECASE,
)
_UNITS = {
    "백": 100, "천": 1000, "만": 10**4, "십만": 10**5, "백만": 10**6, "천만": 10**7, "억": 10**8, "십억": 10**9,
    "백억": 10**10, "천억": 10**11, "조": 10**12, "thousand": 10**3, "million": 10**6, "billion": 10**9,
}  # fmt: skip
_FULL_HOUR = re.compile(r"(\d{1,2}):00(?!\d)")
_SPELLED = {
    1: "one|once|first|한|하나|하루|첫|매", 2: "two|twice|second|두|둘|이틀", 3: "three|third|세|셋|석|사흘",
    4: "four|fourth|네|넷|넉|나흘", 5: "five|fifth|다섯|닷새", 6: "six|여섯|엿새", 7: "seven|일곱|이레",
    8: "eight|여덟", 9: "nine|아홉", 10: "ten|열|열흘", 11: "eleven|열한", 12: "twelve|열두", 15: "fifteen|보름",
    20: "twenty|스무|스물", 30: "thirty|서른", 40: "forty|마흔", 50: "fifty|half|쉰|절반", 60: "sixty", 90: "ninety",
    100: "hundred|백", 1000: "thousand|천", 10000: "만",
}  # fmt: skip
_SPELLED_PATTERNS = {
    float(value): re.compile(rf"(?<![A-Za-z가-힣])(?:{words})(?![A-Za-z])", re.IGNORECASE)
    for value, words in _SPELLED.items()
}


def values(text: str) -> frozenset[float]:
    """The numbers written in digits; "2만 5천" is one number, the ":00" of a full hour none."""
    found: set[float] = set()
    total, last_unit, last_end = 0.0, 0, -2
    for match in _NUMBER.finditer(_FULL_HOUR.sub(r"\1", text)):
        unit = _UNITS.get((match["unit"] or "").lower(), 1)
        value = float(match["digits"].replace(",", "")) * unit
        if unit < last_unit and match.start() - last_end <= 1 and value < last_unit:
            found.discard(total)
            total += value
        else:
            total = value
        found.add(total)
        last_unit, last_end = unit, match.end()
    return frozenset(found)


def missing(numbers: frozenset[float], text: str) -> frozenset[float]:
    """Those of ``numbers`` that ``text`` holds neither in digits nor spelled out."""
    absent = numbers - values(text)
    return frozenset(
        number for number in absent if number not in _SPELLED_PATTERNS or not _SPELLED_PATTERNS[number].search(text)
    )
