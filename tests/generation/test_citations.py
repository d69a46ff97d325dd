from __future__ import annotations

import pytest
from passages import HANDBOOK, LEAVE, TRAVEL, candidate

from llmflow.generation.citations import CitationChecker
from llmflow.generation.phrases import Language
from llmflow.generation.window import Passage, choose_passages
from llmflow.schema import Candidate


def checker(*candidates: Candidate, language: Language = "ko", threshold: float = 0.5) -> CitationChecker:
    return CitationChecker(choose_passages(candidates, 1500), language, threshold)


def test_a_supported_sentence_keeps_its_citation_with_an_exact_quote() -> None:
    checked = checker(LEAVE, TRAVEL).check("1년간 80% 이상 출근하면 15일의 연차휴가를 줍니다 [1].")
    assert checked.marks == " [1]"
    assert not checked.unsupported
    (citation,) = checked.citations
    assert citation.quote == "1년간 80퍼센트 이상 출근한 임직원에게는 15일의 연차휴가를 준다."
    assert LEAVE.chunk.text[slice(*citation.span)] == citation.quote
    assert (citation.number, citation.document_name, citation.page) == (1, "휴가규정.pdf", 3)


def test_a_table_row_is_the_quote_of_a_figure() -> None:
    checked = checker(LEAVE, TRAVEL).check("국내 출장 숙박비는 1박에 12만 원이 한도입니다. [2]")
    (citation,) = checked.citations
    assert citation.quote == "| 숙박비 | 1박 120,000원 한도 | 실비 |"
    assert TRAVEL.chunk.text[slice(*citation.span)] == citation.quote


@pytest.mark.parametrize(
    "sentence",
    [
        "1년간 80% 이상 출근하면 20일의 연차휴가를 줍니다. [1]",
        "2026년 9월 1일부터 연차휴가를 15일 줍니다. [1]",
        "구내식당은 아침마다 무료 샐러드를 나누어 줍니다. [1]",
        "연차휴가를 팔면 세금이 면제됩니다. [2]",
        "본사는 부산으로 이사합니다.",
    ],
)
def test_invented_figures_and_facts_are_marked(sentence: str) -> None:
    checked = checker(LEAVE, TRAVEL).check(sentence)
    assert checked.unsupported
    assert checked.marks == " [근거 없음]"
    assert checked.citations == ()


def test_english_mark() -> None:
    checked = checker(HANDBOOK, language="en").check("You may work from home four days a week after 6 months [1].")
    assert checked.marks == " [unsupported]"


def test_numbers_may_be_spelled_out_in_the_passage() -> None:
    checked = checker(HANDBOOK, language="en").check("You may work from home 2 days a week after 3 months [1].")
    assert checked.marks == " [1]"


def test_a_missing_citation_is_found() -> None:
    checked = checker(LEAVE, TRAVEL).check("식비는 1식 15,000원을 한도로 합니다.")
    assert checked.marks == " [2]"
    assert checked.dropped == ()


def test_a_wrong_citation_is_replaced_and_reported() -> None:
    checked = checker(LEAVE, TRAVEL).check("식비는 1식 15,000원을 한도로 합니다. [1]")
    assert checked.marks == " [2]"
    assert checked.dropped == (1,)


def test_a_number_out_of_range_is_dropped_and_reported() -> None:
    checked = checker(LEAVE, TRAVEL).check("연차휴가는 15일을 줍니다. [1][7]")
    assert checked.marks == " [1]"
    assert checked.dropped == (7,)


def test_two_passages_can_bear_a_sentence_out_together() -> None:
    checked = checker(LEAVE, TRAVEL).check("연차휴가는 15일이고 숙박비는 1박 120,000원이 한도입니다 [1, 2].")
    assert checked.marks == " [1][2]"
    assert [citation.number for citation in checked.citations] == [1, 2]


@pytest.mark.parametrize("piece", ["다음과 같습니다:", "## 연차휴가", "---", "네."])
def test_pieces_that_state_nothing_are_left_alone(piece: str) -> None:
    checked = checker(LEAVE).check(piece)
    assert (checked.body, checked.marks, checked.unsupported) == (piece, "", False)


def test_the_number_of_a_list_item_is_no_figure() -> None:
    assert checker(LEAVE).check("\n7. 연차휴가는 15일을 줍니다 [1]").marks == " [1]"


def test_across_languages_only_figures_are_checked_and_that_is_said() -> None:
    across = checker(HANDBOOK)
    right = across.check("입사 3개월 뒤에는 주 2일 재택근무를 할 수 있습니다. [1]")
    assert (right.marks, right.compared) == (" [1]", False)
    assert across.check("주 4일 재택근무를 할 수 있습니다. [1]").unsupported
    assert across.check("주 2일 재택근무를 할 수 있습니다.").unsupported


def test_what_was_cut_from_the_passage_bears_nothing_out() -> None:
    text = "연차휴가는 15일이다. 병가는 60일까지 쓸 수 있다."
    cut = Passage(1, candidate(text), 0, text.index(" 병가"))
    assert CitationChecker([cut], "ko", 0.5).check("병가는 60일까지 쓸 수 있습니다. [1]").unsupported


def test_the_quote_of_a_cut_passage_has_its_span_in_the_chunk() -> None:
    text = "머리말은 보이지 않는다. 병가는 60일까지 쓸 수 있다."
    late = Passage(1, candidate(text), text.index("병가"), len(text))
    (citation,) = CitationChecker([late], "ko", 0.5).check("병가는 60일까지입니다. [1]").citations
    assert text[slice(*citation.span)] == citation.quote == "병가는 60일까지 쓸 수 있다."
