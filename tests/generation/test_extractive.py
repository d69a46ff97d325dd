from __future__ import annotations

import pytest
from passages import HANDBOOK, LEAVE, TRAVEL, candidate

from llmflow.generation.extractive import Evidence, gather_evidence
from llmflow.generation.question import read_question
from llmflow.schema import Candidate

FAQ = candidate(
    "사원증을 잃어버렸어요.\n\n총무팀에 바로 알려 주십시오. 첫 재발급은 무료이고 두 번째부터는 10,000원을 받습니다.",
    name="자주묻는질문.html",
    path=("자주 묻는 질문", "사원증을 잃어버렸어요."),
)
QA = candidate(
    "Q. 연차를 이월할 수 있나요?\nA. 다음 해 3월 31일까지 5일을 넘길 수 있습니다.\n\n"
    "Q. 반차는 몇 시간인가요?\nA. 4시간입니다.",
    name="faq.md",
)


def evidence(question: str, *candidates: Candidate, sentences: int = 4) -> Evidence:
    return gather_evidence(read_question(question), candidates, sentences)


def shown(question: str, *candidates: Candidate, sentences: int = 4) -> list[str]:
    return [quote.unit.shown for quote in evidence(question, *candidates, sentences=sentences).quotes]


@pytest.mark.parametrize("question", ["연차휴가는 며칠인가요?", "연차휴가가 며칠이죠", "연차휴가 일수를 알려줘"])
def test_particles_and_endings_do_not_matter(question: str) -> None:
    assert "15일의 연차휴가를 준다." in shown(question, TRAVEL, LEAVE)[0]


def test_the_asked_kind_of_value_decides_between_sentences() -> None:
    text = candidate(
        "재택근무는 그룹웨어에서 신청한다. 재택근무는 주 2일까지 할 수 있다. 재택근무 신청은 목요일 17시까지 한다."
    )
    assert shown("재택근무는 며칠 할 수 있나요?", text, sentences=1) == ["재택근무는 주 2일까지 할 수 있다."]
    assert shown("재택근무는 언제까지 신청하나요?", text, sentences=1) == ["재택근무 신청은 목요일 17시까지 한다."]


def test_the_matching_table_row_is_quoted_with_its_header() -> None:
    found = evidence("국내 출장 식비는 얼마인가요?", LEAVE, TRAVEL, sentences=1)
    (quote,) = found.quotes
    assert quote.unit.shown == "항목: 식비, 기준: 1식 15,000원 한도, 비고: 실비"
    assert TRAVEL.chunk.text[quote.unit.start : quote.unit.end] == "| 식비 | 1식 15,000원 한도 | 실비 |"
    assert quote.number == 2


def test_rows_that_share_only_the_header_are_not_quoted() -> None:
    prices = candidate(
        "| 품목 | 모델 | 단가(원) |\n| --- | --- | --- |\n| 노트북(일반) | 누리북 14 | 1450000 |\n"
        "| 노트북(개발) | 누리북 프로 16 | 2890000 |\n| 노트북(디자인) | 누리북 스튜디오 16 | 3350000 |"
    )
    assert shown("개발용 노트북 누리북 프로 16의 단가는 얼마인가요?", prices) == [
        "품목: 노트북(개발), 모델: 누리북 프로 16, 단가(원): 2890000"
    ]


def test_of_a_question_and_answer_the_answer_is_quoted() -> None:
    assert shown("연차를 이월할 수 있나요?", QA, sentences=1) == ["다음 해 3월 31일까지 5일을 넘길 수 있습니다."]
    assert shown("반차는 몇 시간인가요?", QA, sentences=1) == ["4시간입니다."]


def test_a_heading_that_asks_is_not_the_answer() -> None:
    assert shown("사원증을 잃어버렸어요", FAQ)[0] == "총무팀에 바로 알려 주십시오."


def test_english() -> None:
    assert shown("How many days a week may I work from home?", LEAVE, HANDBOOK)[0] == (
        "After the first three months you may work from home two days a week."
    )


def test_the_same_sentence_is_quoted_once() -> None:
    copy = candidate("연차휴가는 15일이다.", name="사본.md")
    assert shown("연차휴가는 며칠인가요?", candidate("연차휴가는 15일이다."), copy) == ["연차휴가는 15일이다."]


def test_quotes_of_a_passage_are_in_reading_order_and_bounded() -> None:
    text = candidate(" ".join(f"출장 정산 {n}단계는 그룹웨어에서 한다." for n in "가나다라마바사"))
    quotes = evidence("출장 정산은 어떻게 하나요?", text, sentences=3).quotes
    assert len(quotes) <= 3
    assert [quote.unit.start for quote in quotes] == sorted(quote.unit.start for quote in quotes)


@pytest.mark.parametrize(
    ("question", "answerable"),
    [
        ("연차휴가는 며칠인가요?", True),
        ("출장 가면 숙박비가 얼마까지 나오나요?", True),
        ("국내출장 숙박비 한도", True),
        ("How many days a week can I work from home?", True),
        ("화성 출장 숙박비는 얼마인가요?", False),
        ("구내식당 메뉴는 무엇인가요?", False),
        ("스톡옵션은 언제 행사할 수 있나요?", False),
        ("What is the capital of France?", False),
    ],
)
def test_coverage_tells_what_the_passages_can_answer(question: str, answerable: bool) -> None:
    assert (evidence(question, LEAVE, TRAVEL, HANDBOOK).coverage >= 0.55) is answerable


def test_a_question_without_content_is_covered_by_nothing() -> None:
    assert evidence("그게 뭐야?", LEAVE).coverage == 0


def test_an_empty_passage_gives_nothing() -> None:
    assert evidence("연차휴가는 며칠인가요?", candidate("")).quotes == ()
