"""Korean postal addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from presidio_analyzer import EntityRecognizer
from presidio_analyzer import RecognizerResult as Result

from llmflow.pii.words import morphemes

_PROVINCE = (
    r"(?:서울(?:특별시|시)?|(?:부산|대구|인천|광주|대전|울산)(?:광역시|시)?|세종(?:특별자치시|시)?|경기(?:도)?|강원(?:특별자치도|도)?"
    r"|충청?[북남](?:도)?|충청[북남]도|전북(?:특별자치도)?|전라[북남]도|전남|경상[북남]도|경[북남]|제주(?:특별자치도|도)?)"
)
_CITY = r"[가-힣]{1,3}시(?:\s[가-힣]{1,3}구)?|[가-힣]{1,3}[군구]"
_TOWN = r"[가-힣]{1,4}[읍면](?:\s?[가-힣]{1,4}\d{0,2}리)?|[가-힣]{1,5}(?:제?\d{1,2}(?:[·.,]\d)?)?동(?:\d가)?|[가-힣]{1,4}\d?가|[가-힣]{1,4}리"
_ROAD = r"[가-힣A-Za-z]{1,8}(?:\d{1,4}[가-힣]{0,3})?(?:대로|로|길)(?:\s?\d{1,4}(?:번)?[가나다라마바사]?(?:안)?길)?"
_NUMBER = r"(?:산\s?)?\d{1,5}(?:-\d{1,4})?(?:번지)?(?![\d-]|\s?(?:년|월|일|시|분|개|명|원|호선|번\s|번째|차|%|㎡|km|m|조|항|만|억|천|세|건|회|위|여))"
_UNIT = r"(?:지하\s?)?\d{1,4}(?:동|호|층|단지)(?![가-힣])"
_BUILDING = r"[가-힣A-Za-z0-9]{2,15}(?:아파트|빌딩|타워|오피스텔|빌라|맨션|단지|자이|래미안|푸르지오|힐스테이트|캐슬|엠밸리|센터|팰리스|하우스|프라자|플라자|상가)"
_DETAIL = rf"(?:\s?,?\s?(?:{_UNIT}|{_BUILDING}))*(?:\s?\([가-힣A-Za-z0-9 ,·]{{2,40}}\))?(?:\s?,?\s?{_UNIT})*"
_PLACE = rf"(?:{_ROAD})\s?{_NUMBER}|(?:{_TOWN})(?:\s?(?:{_ROAD}))?(?:\s?{_NUMBER})?"

_FULL = re.compile(
    rf"(?<![가-힣])(?P<province>{_PROVINCE})\s(?:(?P<city>{_CITY})\s)?(?P<place>{_PLACE})(?P<detail>{_DETAIL})(?![가-힣]{{3}})"
)


class AddressRecognizer(EntityRecognizer):  # type: ignore[misc]
    """Presidio's face of this module."""

    def __init__(self, language: str) -> None:
        super().__init__(["ADDRESS"], name="Korean addresses", supported_language=language)

    def load(self) -> None:
        """Nothing to load."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Result]:
        """Addresses in ``text``."""
        return [Result("ADDRESS", m.start(), m.end(), 0.8) for m in _FULL.finditer(text)]
