"""What the asked kind of value looks like in a text: a day count, a sum, a date, a person in charge."""

from __future__ import annotations

import re
from typing import Final

_NUMERAL = r"(?:\d|[한두세네]\s?|[일이삼사오육칠팔구십백천만억]+\s?|다섯|여섯|일곱|여덟|아홉|열)+\s*"
_DATE = (
    r"\d+\s*(?:년|월|일|시|분|주|개월|분기)|[월화수목금토일]요일|매년|매월|매주|매일|분기|말일|이내|까지|즉시|당일|전날"
    r"|\d{1,2}:\d\d|\b(?:19|20)\d\d\b|(?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|\b(?:january|february|march|april|may|june|july|august|september|october|november|december)\b"
    r"|\b(?:within|before|after|by|every|until|at least)\b[^.]{0,20}\b\w+\s*(?:days?|weeks?|months?|years?|hours?)"
)
_MONEY = (
    r"\d[\d,.]*\s*(?:[천백십]?[만억조]?\s*원|달러|유로|%|퍼센트|프로|배)|[$€£₩]\s?\d"
    r"|\b\d[\d,.]*\s*(?:krw|usd|won|dollars?|euros?|percent)|\bkrw\s?\d|\d{4,}"
)
_ROLE = (
    r"[가-힣]+(?:팀|부서|본부|센터|위원회|담당자?|책임자|부장|팀장|대표|이사|관리자|그룹|처|과장|실장|장관|총리|대통령)"
    r"|\b(?:team|manager|department|officer|director|desk|lead|head|committee|supervisor)\b"
)
_PLACE = (
    r"[가-힣]+(?:시|도|구|동|군|읍|면|층|호|역|실|관|청|사이트|포털|시스템|게시판|메뉴|창구)\b|\d층|https?://|www\."
    r"|\b(?:room|floor|building|portal|office|site)\b"
)
_REASON = (
    r"때문|위하여|위해|따라서|이유|원인|목적|므로|으로 인해|\b(?:because|due to|since|so that|in order to|therefore)\b"
)

# The first that the question matches counts, so the specific come first.
_KINDS: Final = tuple(
    (re.compile(asked, re.IGNORECASE), re.compile(wanted, re.IGNORECASE))
    for asked, wanted in (
        (r"며칠|몇\s*일", _NUMERAL + "(?:영업)?일"),
        (r"몇\s*(?:년|해)", r"\d+\s*년"),
        (r"몇\s*(?:월|달|개월)", r"\d+\s*(?:월|개월|달)"),
        (r"몇\s*시간|얼마나 오래|얼마\s*동안", r"\d+\s*(?:시간|분|일|주|개월|년)"),
        (r"몇\s*시", r"\d+\s*시|\d{1,2}:\d\d"),
        (r"몇\s*(?:퍼센트|%|프로)|비율|이율|세율|요율", r"\d\s*(?:%|퍼센트|프로)|\d+분의"),
        (r"얼마|금액|한도|요금|가격|비용|연봉|수당|단가", _MONEY),
        (r"몇\s*(?:번|회|차례)", _NUMERAL + "(?:회|번|차례|일)"),
        (r"몇\s*(?:명|사람|인)", _NUMERAL + "(?:명|인|사람)"),
        (r"몇|개수|자릿?수", _NUMERAL + r"[가-힣%]|\d"),
        (r"언제|시기|기한|마감|날짜|일자|기간|주기|연도|시점", _DATE),
        (r"\bhow (?:many|much|long|often|far|old|large|big|high)\b", r"\d|\b(?:one|two|three|four|five|six|ten)\b"),
        (r"\bwhen\b|\bdeadline\b|\bwhat (?:date|day|time|year|month)\b|\bdue\b", _DATE),
        (r"누구|누가|담당|책임자|결재|승인권|\bwho(?:m|se)?\b", _ROLE),
        (r"어디|장소|위치|\bwhere\b", _PLACE),
        (r"왜|이유|원인|\bwhy\b|\breason\b", _REASON),
    )
)


def wanted_value(question: str) -> re.Pattern[str] | None:
    """The pattern of the value ``question`` asks for, None where any text may answer."""
    return next((wanted for asked, wanted in _KINDS if asked.search(question)), None)
