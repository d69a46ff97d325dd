"""The words of a Korean question: what each names, and what it does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from llmflow import korean

# Nouns that ask, or that belong to any topic: alone they name none.
GENERIC: Final = frozenset(
    """
    얼마 며칠 언제 무엇 누구 어디 무슨 정도 이유 방법 절차 경우 때 전 후 중 시 안 밖 다음 이후 이전 이상 이하 미만 초과
    신청 승인 허가 한도 금액 비용 기간 기한 기준 횟수 일수 최대 최소 조건 대상 예외 담당 담당자 담당자의 부서 연락처
    문의 처리 제출 지급 유급 무급 보관 이월 사용 이용 변경 취소 연장 등록 서류 증빙 자격 필요 가능 서식 양식 시행 적용
    준비 확인 결제 정산 환불 반납 신고 보고 예약 마감 시작 종료 시간 시각 장소 단위 추가 다른 나머지 하루 일주일 한달
    사람 직원 회사 규정 제도 내용 설명 질문 답 답변 의미 뜻 예 예시 종류 차이 벌칙 위반 불이익 책임 요 번 개 월 일 주 년
    """.split()  # noqa: SIM905
)
_ASKS: Final = frozenset(
    {"얼마", "며칠", "언제", "무엇", "누구", "어디", "어느", "몇", "무슨", "왜", "어떻", "어떤", "뭐"}
)
_NOUN_TAGS: Final = frozenset({"NNG", "NNP", "SL", "XR", "XPN", "XSN", "SN", "SH"})
_PREDICATE_TAGS: Final = ("VV", "VA", "VX", "VCP", "VCN", "XSV", "XSA")


@dataclass(frozen=True, slots=True)
class Word:
    """An eojeol: ``text[start:end]``, the nouns it begins with, and what it is."""

    text: str
    start: int
    end: int
    noun: str
    asks: bool
    predicate: bool

    @property
    def plain(self) -> str:
        """The word without what ends a sentence."""
        return self.text.rstrip("?？.!")

    @property
    def conditional(self) -> bool:
        """Whether it ends a condition ("잃어버리면")."""
        return self.plain.removesuffix("요").endswith("면") and not self.plain.endswith(self.noun or " ")

    @property
    def content(self) -> bool:
        """Whether it names something of its own."""
        return bool(self.noun) and self.noun not in GENERIC and not self.asks and not self.noun.isdigit()


def read_words(text: str) -> list[Word]:
    """The words of a text, between its spaces."""
    tokens = korean.tagger().tokenize(text)
    words: list[Word] = []
    for match in re.finditer(r"\S+", text):
        inside = [token for token in tokens if match.start() <= token.start < match.end()]
        tags = [token.tag.partition("-")[0] for token in inside]
        noun_end = match.start()
        for token, tag in zip(inside, tags, strict=True):
            if tag not in _NOUN_TAGS and not (tag == "NNB" and token.start > match.start()):
                break
            noun_end = token.start + token.len
        words.append(
            Word(
                match.group(),
                match.start(),
                match.end(),
                text[match.start() : noun_end],
                any(token.form in _ASKS for token in inside),
                any(tag in _PREDICATE_TAGS for tag in tags),
            )
        )
    return words


def fitting_particle(noun: str, particle: str) -> str:
    """The form of a particle that goes with the noun's last sound."""
    closed = "가" <= noun[-1] <= "힣" and (ord(noun[-1]) - ord("가")) % 28 != 0
    for with_final, without in (("은", "는"), ("이", "가"), ("을", "를"), ("과", "와")):
        if particle in (with_final, without):
            return with_final if closed else without
    return particle
