"""Korean postal addresses: province, city, town or road, number, building, joined into one span.

Particles look like roads and towns (``별도로 3``, ``연구 활동``), so kiwi must read a place's
name as nouns, and not as common ones alone.
"""

from __future__ import annotations

import re
from typing import Any

from presidio_analyzer import EntityRecognizer
from presidio_analyzer import RecognizerResult as Result

from llmflow.pii.words import read_words

_PROVINCE = (
    r"(?:서울(?:특별시|시)?|(?:부산|대구|인천|광주|대전|울산)(?:광역시|시)?|세종(?:특별자치시|시)?|경기도?|강원(?:특별자치도|도)?"
    r"|충청[북남]도|충[북남]도?|전북(?:특별자치도)?|전라[북남]도|전[북남]도?|경상[북남]도|경[북남]도?|제주(?:특별자치도|도)?)"
)
_CITY = r"(?:[가-힣]{2,3}시(?:\s[가-힣]{1,3}구)?|[가-힣]{1,4}군|[가-힣]{1,3}구)(?![가-힣])"
_CITY_OF_DISTRICTS = r"(?:수원|성남|고양|용인|안산|안양|부천|화성|청주|천안|전주|포항|창원)"
_TOWN = r"(?:[가-힣]{1,5}(?:\d{1,2}(?:[·.,]\d)?)?[동읍면리]|[가-힣]{1,4}(?:\d가|\d?가동))"
_ROAD = r"(?:[가-힣]{1,8}(?:\d{1,4}[가나다라마바사]?)?(?:대로|로|길)(?:\s?\d{1,4}(?:번)?[가나다라마바사]?(?:안)?길)?)"
_COUNTED = (
    r"(?:년|월|일|시|분|초|개|명|인|원|호선|번째|번(?!지)|차|퍼센트|조|항|만|억|천|세|살|건|회|위|여|곳|가지|배|종|주"
    r"|달|점|킬로|미터|대|편|팀)"
)
_NUMBER = rf"(?:산\s?)?\d{{1,5}}(?:-\d{{1,4}})?(?:번지)?(?![\d-]|[%㎡]|\.\d|\s?(?:km|m|kg)\b|{_COUNTED})"
_UNIT = r"(?:지하\s?)?(?:제?\d{1,4}|[A-Za-z가나다라])(?:동|호(?!선)|층(?!짜리)|단지)(?:\s?\d{1,4}호)?(?!\d)"
_BUILDING = (
    r"[가-힣A-Za-z0-9]{1,15}(?:아파트|빌딩|타워|오피스텔|빌라|맨션|자이|래미안|푸르지오|힐스테이트|캐슬|엠밸리|팰리스|하우스|프라자|플라자|상가|주공)"
    r"(?:\s?\d{1,2}(?:차|단지))?(?![가-힣])"
)
_FURTHER = rf"(?:\s?,?\s?(?:{_UNIT}|{_BUILDING}))"
_DETAIL = rf"{_FURTHER}{{0,4}}(?:\s?\([가-힣A-Za-z0-9 ,·-]{{2,40}}\){_FURTHER}{{0,3}})?"
_JOSA = r"(?:은|는|이|가|을|를|의|에|에서|으로|로|과|와|도|까지|부터|인|입니다|이며|거주|소재|일대)(?![가-힣])"
_WORD_END = rf"(?=$|[^가-힣]|{_JOSA})"
_TOWN_PLACE = rf"{_TOWN}{_WORD_END}(?:\s{_TOWN}(?=\s?\d))?(?:\s?{_NUMBER})?"
_PLACE = rf"(?:(?P<road>(?:{_TOWN}\s)?{_ROAD})\s?{_NUMBER}|(?P<town>{_TOWN_PLACE}))"

_FULL = re.compile(rf"(?<![가-힣]){_PROVINCE}\s(?:(?P<city>{_CITY})\s)?{_PLACE}{_DETAIL}")
_LOCAL = re.compile(rf"(?<![가-힣])(?P<city>(?:{_CITY_OF_DISTRICTS}\s)?{_CITY})\s{_PLACE}{_DETAIL}")
_BARE = re.compile(
    rf"(?<![가-힣])(?:(?P<road>{_ROAD})\s?{_NUMBER}|(?P<town>{_TOWN})\s?\d{{1,4}}-\d{{1,4}}(?:번지)?(?![\d-])){_DETAIL}"
)
_REGION = re.compile(rf"(?<![가-힣])(?:{_PROVINCE}\s{_CITY}|[가-힣]{{2,3}}시\s[가-힣]{{1,3}}구(?![가-힣]))")

_PLACE_TAGS = frozenset({"NNP", "NNG", "NNB", "NR", "XPN", "XSN", "MM", "XR", "JX"})


class AddressRecognizer(EntityRecognizer):  # type: ignore[misc]
    """Presidio's face of this module. A region alone (``경기도 수원시``) needs a word like ``거주`` near."""

    def __init__(self, language: str) -> None:
        super().__init__(
            ["ADDRESS"],
            name="Korean addresses",
            supported_language=language,
            context=["주소", "거주", "거소", "주거지", "본적", "등록기준지", "소재지", "자택", "배송지"],
        )

    def load(self) -> None:
        """kiwi loads with its first word."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Result]:
        """Addresses in ``text`` with their scores."""
        return [
            Result("ADDRESS", match.start(), match.end(), score)
            for pattern, score in ((_FULL, 0.85), (_LOCAL, 0.7), (_BARE, 0.5), (_REGION, 0.15))
            for match in pattern.finditer(text)
            if (pattern is _FULL and match["city"]) or all(map(_is_place, _names(match)))
        ]


_HEAD = re.compile(r"[가-힣]+")


def _names(match: re.Match[str]) -> list[str]:
    """The words of an address that kiwi must know for places."""
    groups = match.groupdict()
    words = [word for name in ("city", "road", "town") for word in _HEAD.findall(groups.get(name) or "")[:2]]
    return [word for word in words if len(word) > 1 and word not in ("번길", "번지", "가길", "나길", "안길")]


def _is_place(word: str) -> bool:
    parts = read_words([word])[word]
    nouns = all(part.tag in _PLACE_TAGS for part in parts)
    return nouns and any(part.tag == "NNP" or not part.known for part in parts)
