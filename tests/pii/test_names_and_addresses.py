"""Persons and addresses, in Korean and English."""

from __future__ import annotations

import pytest

from llmflow.pii import Masker
from llmflow.settings import PiiSettings


@pytest.fixture(scope="module")
def masker() -> Masker:
    return Masker(PiiSettings())


def of_type(masker: Masker, text: str, entity: str) -> list[str]:
    return [text[item.start : item.end] for item in masker.find(text) if item.type == entity]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("담당자 홍길동 과장에게 문의하십시오.", ["홍길동"]),
        ("신청인: 김철수", ["김철수"]),
        ("성명 : 남궁민수", ["남궁민수"]),
        ("제갈윤 대리님께서 승인했다.", ["제갈윤"]),
        ("회의에는 이서연(인사팀), 박도윤(개발팀)이 참석했다.", ["이서연", "박도윤"]),
        ("환자 최하늘 님, 보호자 최민호 씨", ["최하늘", "최민호"]),
        ("위원장: 정다은, 한재욱, 오세린", ["정다은", "한재욱", "오세린"]),
        ("송하은(880101-2234567)은 전입하였다.", ["송하은"]),
        ("주심 판사: 황지원(黃志元)", ["황지원"]),
        ("故 윤봉식 옹의 유족", ["윤봉식"]),
        ("감사관: 강도현 감사실장", ["강도현"]),
        ("작성자 - 표지수 (기획팀)", ["표지수"]),
        ("성명: 응우옌 반 흥 (베트남)", ["응우옌 반 흥"]),
        ("김민재 사무관입니다. 추가 자료는 김민재에게 요청 바랍니다.", ["김민재", "김민재"]),
    ],
)
def test_korean_names(masker: Masker, text: str, names: list[str]) -> None:
    assert of_type(masker, text, "PERSON") == names


@pytest.mark.parametrize(
    "text",
    [
        "김부장이 박 과장에게 이 대리의 보고서를 넘겼다.",
        "담당 부서, 신청인 정보, 환자 이송, 대표이사 사임, 위원장 직무대행",
        "이사회 의결과 주주총회 승인을 거쳐 정관을 변경한다.",
        "고객님, 이용자님, 선생님께 안내드립니다.",
        "이자율과 구상권, 전세권은 설치자와 임차인의 권리에 영향을 준다.",
        "가입기간이 3개월 이상일 것, 조정서와 같은 내용의 합의",
        "강남구와 서초구, 경기도와 강원도, 연세대와 고려대 교수",
        "전대인(轉貸人)과 전차인(轉借人)은 연대하여 책임을 진다.",
        "보건복지부, 고용노동부, 기획재정부, 한국은행",
        "원고: 한국전력공사, 신청인: 서울특별시",
        "5백만원 이하의 과태료, 주민 3천여명",
    ],
)
def test_what_is_no_name(masker: Masker, text: str) -> None:
    assert of_type(masker, text, "PERSON") == []


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("주소: 서울특별시 강남구 테헤란로 123, 4층", ["서울특별시 강남구 테헤란로 123, 4층"]),
        (
            "경기도 성남시 분당구 정자동 178-1 한솔아파트 101동 1203호에 거주",
            ["경기도 성남시 분당구 정자동 178-1 한솔아파트 101동 1203호"],
        ),
        ("부산 해운대구 우동로 12번길 7로 보내세요", ["부산 해운대구 우동로 12번길 7"]),
        ("어제 동작구 사당동에서 만났다", ["동작구 사당동"]),
        ("강원특별자치도 영월군 영월읍 흥월리 287", ["강원특별자치도 영월군 영월읍 흥월리 287"]),
        ("등기는 세종대로 209 앞으로", ["세종대로 209"]),
        ("역삼동 736-1번지", ["역삼동 736-1번지"]),
        ("거주지: 충청북도 청주시", ["충청북도 청주시"]),
        ("Ship to 221 Baker Street, Suite 5 please", ["221 Baker Street, Suite 5"]),
        ("123 Main St, Springfield, IL 62704", ["123 Main St, Springfield, IL 62704"]),
        ("152, Teheran-ro, Gangnam-gu, Seoul", ["152, Teheran-ro, Gangnam-gu, Seoul"]),
    ],
)
def test_addresses(masker: Masker, text: str, addresses: list[str]) -> None:
    assert of_type(masker, text, "ADDRESS") == addresses


@pytest.mark.parametrize(
    "text",
    [
        "앞으로 3일, 별도로 12건, 따로 2부를 제출한다.",
        "연구 활동 3회와 도시 이동 2건",
        "강남구 (54만), 송파구 (66만) 등 서울 25개 자치구",
        "경기 부진으로 40개 업체가 폐업했다. 인천 방면으로 이동",
        "지역특구 세액감면, 지원시 가산금리 인하",
        "제3조제1항에 따라 2인 이상으로 5년",
        "Section 12 Main Principles of Good Conduct",
    ],
)
def test_what_is_no_address(masker: Masker, text: str) -> None:
    assert of_type(masker, text, "ADDRESS") == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Please ask Mr. Smith or Dr. Jane O'Neil.", ["Smith", "Jane O'Neil"]),
        ("Hello, my name is Priya Raman.", ["Priya Raman"]),
        ("Dear Thomas,\nthank you.\n\nBest regards,\nAlice Cooper", ["Thomas", "Alice Cooper"]),
        ("Employee: Maria de Souza\nDepartment: Sales", ["Maria de Souza"]),
        ("Approved by: Henry Ford", ["Henry Ford"]),
        ("Kim Cheol-su and Gil-dong Hong met.", ["Kim Cheol-su", "Gil-dong Hong"]),
    ],
)
def test_english_names(masker: Masker, text: str, names: list[str]) -> None:
    assert of_type(masker, text, "PERSON") == names


@pytest.mark.parametrize(
    "text",
    [
        "Dear Sir, Dear Customer, Dear All,",
        "I am Korean. This is The Annual Report.",
        "Security Policy\n\nAnnual Leave",
    ],
)
def test_english_text_without_names(masker: Masker, text: str) -> None:
    assert of_type(masker, text, "PERSON") == []
