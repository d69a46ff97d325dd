"""Words that stand in each other's place: who asks about one after the other means the same question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

KOREAN_SETS: Final[tuple[frozenset[str], ...]] = tuple(
    frozenset(line.split())
    for line in (
        "국내 해외 국외 외국",
        "본인 배우자 자녀 부모 부모님 형제자매 조부모 가족",
        "임원 직원 임직원 사원 팀장 본부장 대표이사 인턴 신입사원 정규직 계약직 파견직",
        "평일 주말 공휴일 휴일",
        "오전 오후 저녁 야간",
        "첫째 둘째 셋째",
        "올해 작년 내년 지난해",
        "상반기 하반기",
        "결혼 사망 출산 입원",
        "서울 부산 대구 인천 광주 대전 울산 세종 제주 지방 수도권 광역시",
        "미국 일본 중국 영국 독일 프랑스 베트남 싱가포르 호주 유럽 동남아 동남아시아",
        "남성 여성",
        "항공 철도 버스 택시 자가용 기차 비행기 KTX",
        "노트북 모니터 키보드 마우스 헤드셋 휴대전화",
        "아침 점심 저녁",
    )
)
ENGLISH_SETS: Final[tuple[frozenset[str], ...]] = tuple(
    frozenset(line.split())
    for line in (
        "domestic international foreign overseas",
        "abroad home",
        "morning afternoon evening",
        "paid unpaid",
        "first second third",
        "annual sick maternity paternity parental bereavement unpaid",
        "laptop laptops monitor monitors keyboard keyboards mouse phone phones headset headsets",
        "hotels hotel flights flight meals meal taxis taxi trains train",
        "employees interns contractors managers executives",
        "wedding funeral birth",
        "today tomorrow yesterday",
        "monday tuesday wednesday thursday friday saturday sunday",
    )
)


def same_set(one: str, other: str, sets: Sequence[frozenset[str]]) -> bool:
    """Whether two different words belong to one set."""
    return one != other and any(one in members and other in members for members in sets)
