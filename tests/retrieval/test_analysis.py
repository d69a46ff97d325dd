from __future__ import annotations

import unicodedata

import pytest

from llmflow.errors import InvalidInputError
from llmflow.retrieval.analysis import MAX_QUERY_CHARACTERS, analyze_query, find_references


@pytest.mark.parametrize(
    ("question", "references"),
    [
        ("근로기준법 제60조", [("근로기준법", "제60조")]),
        ("「개인정보 보호법」 제15조의2에 따른 동의", [("개인정보 보호법", "제15조의2")]),
        ("제12조가 무엇인가요?", [(None, "제12조")]),
        ("근로기준법 60조에서 정한 휴가", [("근로기준법", "제60조")]),
        ("근로기준법제60조제1항", [("근로기준법", "제60조")]),
        ("근로기준법 시행령 제 10 조 의 2", [("근로기준법 시행령", "제10조의2")]),
        ("취업규칙 12조와 휴가 규정 제3조", [("취업규칙", "제12조"), ("취업규칙 12조와 휴가 규정", "제3조")]),
        ("제5조의 원칙", [(None, "제5조")]),
        (
            "근로기준법 제60조와 근로기준법 제60조",
            [("근로기준법", "제60조"), ("근로기준법 제60조와 근로기준법", "제60조")],
        ),
    ],
)
def test_references_are_found(question: str, references: list[tuple[str | None, str]]) -> None:
    assert list(find_references(question)) == references
    assert analyze_query(unicodedata.normalize("NFD", question)).query.references == tuple(references)


@pytest.mark.parametrize(
    "question",
    [
        "예산 3조원",
        "민법상 3조 5천억원",
        "제3자 제공",
        "3조로 나누어",
        "2조 3교대 근무",
        "조 편성",
        "Article 3",
        "제60항",
    ],
)
def test_no_reference_where_there_is_none(question: str) -> None:
    assert find_references(question) == ()


def test_only_the_words_before_the_article_name_the_law() -> None:
    ((law, article),) = find_references("하나 둘 셋 넷 다섯 여섯 일곱 여덟 아홉 열 열하나 개인정보 보호법 제3조")
    assert article == "제3조"
    assert law is not None
    assert law.endswith("열하나 개인정보 보호법")
    assert len(law.split()) == 10


def test_language_and_text_of_a_question() -> None:
    assert analyze_query("  연차\u200b휴가는\n며칠? ").query.text == "연차휴가는 며칠?"
    assert analyze_query("VPN 연결").query.language == "ko"
    assert analyze_query("How many days of leave?").query.language == "en"


@pytest.mark.parametrize("question", ["", "   \n\t", "\u200b\ufeff"])
def test_an_empty_question_is_refused(question: str) -> None:
    with pytest.raises(InvalidInputError, match="empty") as error:
        analyze_query(question)
    assert error.value.param == "query"


def test_an_overlong_question_is_refused_with_both_numbers() -> None:
    assert analyze_query("a" * MAX_QUERY_CHARACTERS).query.language == "en"
    with pytest.raises(InvalidInputError, match=r"8,001 characters.*8,000"):
        analyze_query("a" * (MAX_QUERY_CHARACTERS + 1))


@pytest.mark.parametrize(
    ("text", "references"),
    [
        (
            "근로기준법 제60조, 제61조 및 제62조",
            (("근로기준법", "제60조"), ("근로기준법", "제61조"), ("근로기준법", "제62조")),
        ),
        ("근로기준법의 제60조는", (("근로기준법", "제60조"),)),
        ("근로기준법 시행령 제7조 제1항과 제8조", (("근로기준법 시행령", "제7조"), ("근로기준법 시행령", "제8조"))),
        ("이 계약의 제1조건", ()),
        ("제2조직을 개편한다", ()),
        ("예산법 3조 원", ()),
    ],
)
def test_lists_of_articles_and_look_alikes(text: str, references: tuple[tuple[str | None, str], ...]) -> None:
    assert find_references(text) == references
