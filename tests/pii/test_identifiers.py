"""Identifiers: found where they are, whatever they touch, and not where they are not."""

from __future__ import annotations

import pytest

from llmflow.pii import Masker
from llmflow.settings import PiiSettings


@pytest.fixture(scope="module")
def masker() -> Masker:
    return Masker(PiiSettings())


FOUND = [
    ("KR_RRN", "주민등록번호는 {}이고 나머지는 생략한다", "880101-1234568"),
    ("KR_RRN", "주민번호 {}", "8801011234568"),
    ("KR_RRN", "주민번호 {} 확인", "880101 - 1234568"),
    ("KR_RRN", "신청인({})", "210315-3456789"),
    ("KR_RRN", "가려진 번호 {}도 개인정보다", "880101-1******"),
    ("KR_FRN", "외국인등록번호 {}", "850315-5345671"),
    ("PHONE_NUMBER", "연락처는 {}번입니다", "010-1234-5678"),
    ("PHONE_NUMBER", "휴대폰 {}로 문의", "01098765432"),
    ("PHONE_NUMBER", "{} 으로 전화", "010.9876.5432"),
    ("PHONE_NUMBER", "{}", "010 2222 3333"),
    ("PHONE_NUMBER", "국제전화 {}", "+82-10-1234-5678"),
    ("PHONE_NUMBER", "대표 {}까지", "02-345-6789"),
    ("PHONE_NUMBER", "대표 {}", "(031) 345-6789"),
    ("PHONE_NUMBER", "고객센터 {}", "1588-1234"),
    ("PHONE_NUMBER", "콜센터 {}로", "1644-9999"),
    ("PHONE_NUMBER", "call me ({}) today", "212-555-0123"),
    ("PHONE_NUMBER", "Call {} now", "(415) 555-2671"),
    ("FAX_NUMBER", "팩스: {}", "02-123-4567"),
    ("FAX_NUMBER", "TEL 031-111-2222 / FAX {}", "031-111-3333"),
    ("FAX_NUMBER", "{} (FAX)", "044-202-1234"),
    ("EMAIL", "메일은 {}입니다", "hong@example.com"),
    ("EMAIL", "이메일:{}로 보내세요", "gil.dong_hong+1@mail.example.co.kr"),
    ("BANK_ACCOUNT", "국민은행 {}으로 입금", "123456-04-123456"),
    ("BANK_ACCOUNT", "계좌번호: {}", "110-123-456789"),
    ("BANK_ACCOUNT", "카카오뱅크 {}", "3333-01-2345678"),
    ("BANK_ACCOUNT", "우리은행 계좌 {}으로", "1002123456789"),
    ("CREDIT_CARD", "카드번호 {}번", "4111111111111111"),
    ("CREDIT_CARD", "결제 카드 {}", "5555-5555-5555-4444"),
    ("CREDIT_CARD", "오타가 있는 카드 {}", "4111-1111-1111-1112"),
    ("CREDIT_CARD", "amex {}", "3782 822463 10005"),
    ("PASSPORT", "여권 {} 소지", "M12345678"),
    ("PASSPORT", "여권번호 {}", "M123A4567"),
    ("PASSPORT", "여권번호: {}", "TK1234567"),
    ("DRIVER_LICENSE", "면허번호 {}", "11-12-345678-90"),
    ("DRIVER_LICENSE", "면허 {}입니다", "서울-12-345678-90"),
    ("BUSINESS_NUMBER", "사업자등록번호 {}", "123-45-67891"),
    ("CORPORATE_NUMBER", "법인등록번호 {}", "110111-1234567"),
    ("CORPORATE_NUMBER", "법인등록번호: {}, 본점", "880101-1234568"),
    ("VEHICLE", "차량 {}의 소유자", "12가3456"),
    ("VEHICLE", "{} 차량", "123가4567"),
    ("VEHICLE", "{}", "서울12가3456"),
    ("IP_ADDRESS", "{}에서 접속", "192.168.0.31"),
    ("IP_ADDRESS", "대역 {} 차단", "10.20.0.0/16"),
    ("IP_ADDRESS", "접속 IP {}", "8.8.8.8"),
    ("IP_ADDRESS", "주소 {} 사용", "2001:db8::8a2e:370:7334"),
    ("DATE_OF_BIRTH", "홍길동({})", "1991년 3월 27일생"),
    ("DATE_OF_BIRTH", "그는 {}이다", "1972년생"),
    ("DATE_OF_BIRTH", "생년월일 {}", "91.03.27"),
    ("DATE_OF_BIRTH", "생년월일: {}", "1991-03-27"),
    ("DATE_OF_BIRTH", "Date of birth: {}", "March 27, 1991"),
    ("DATE_OF_BIRTH", "DOB {}", "03/27/1991"),
    ("US_SSN", "SSN {} on file", "123-45-6789"),
    ("IBAN", "pay to {}", "GB82 WEST 1234 5698 7654 32"),
]


@pytest.mark.parametrize(("entity", "template", "value"), FOUND, ids=lambda text: str(text)[:24])
def test_value_is_found_exactly(masker: Masker, entity: str, template: str, value: str) -> None:
    text = template.format(value)
    found = [(item.type, text[item.start : item.end]) for item in masker.find(text)]
    assert (entity, value) in found


CLEAN = [
    "제60조(연차 유급휴가) ① 1년간 80퍼센트 이상 출근한 근로자에게 15일을 준다. <개정 2012.2.1, 2023.3.14>",
    "총액은 1,234,567,890원이며 부가세 10%는 별도이다.",
    "문서번호 2026-04582, 고시 제2024-187호, 법률 제17219호",
    "대법원 2020. 5. 14. 선고 2019다12345 판결, 2023가합12345 사건",
    "계약기간은 2024-01-15부터 2024-12-31까지로 한다.",
    "이 법에서 정보주체란 처리되는 정보에 의하여 알아볼 수 있는 사람을 말한다.",
    "예산 12조3456억 원, 제12조 3456건, 12주 2024년",
    "대법원 1997. 5. 30. 선고 97다4784 판결, 1995. 1. 20. 선고 94다3421 판결, 98도3899 사건",
    "매출 추이: 2017 2018 2019 2020, 시장 규모 159조7951억 원",
    "버전 1.2.3.4로 갱신하고 std::vector를 쓴다. 12:34:56에 시작",
    "ISBN 978-89-1234-567-8, 모델 AB-1234-CD",
    "2023년 생산량과 2024년 생활비를 비교한다.",
    "우편번호 12 345, 3.14159, 1-2-3",
    "2026-05-21 14:23:11 INFO call finished, 2023-2024 회계연도",
    "The hotel opened on 2019-04-01 and section 3.2.1 applies to 2022-2023.",
]


@pytest.mark.parametrize("text", CLEAN)
def test_nothing_is_found_in_ordinary_text(masker: Masker, text: str) -> None:
    assert [(item.type, text[item.start : item.end]) for item in masker.find(text)] == []


def score(masker: Masker, text: str, entity: str) -> float:
    return next(item.score for item in masker.find(text) if item.type == entity)


def test_a_check_digit_that_holds_raises_the_score(masker: Masker) -> None:
    assert score(masker, "880101-1234568", "KR_RRN") > score(masker, "880101-1234567", "KR_RRN") >= 0.4
    good, bad = "4111-1111-1111-1111", "4111-1111-1111-1112"
    assert score(masker, good, "CREDIT_CARD") > score(masker, bad, "CREDIT_CARD") >= 0.4


def test_impossible_dates_and_failed_checks_are_no_hits(masker: Masker) -> None:
    assert masker.find("881301-1234568") == []
    assert masker.find("4111111111111112") == []
    assert not [item for item in masker.find("GB82 WEST 1234 5698 7654 33") if item.type == "IBAN"]


def test_context_does_not_hide_in_other_words(masker: Masker) -> None:
    assert masker.find("hotel 345-6789") == []
    assert [item.type for item in masker.find("tel 345-6789")] == ["PHONE_NUMBER"]
