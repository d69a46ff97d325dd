from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest

from llmflow.generation.units import Unit, UnitKind, split_units

TABLE = "| 직급 | 숙박비 |\n| :--- | ---: |\n| 과장 | 80,000원 |\n| 부장 \\| 이사 | 100,000원 |\n"


def quotes(text: str) -> list[tuple[str, UnitKind]]:
    return [(text[unit.start : unit.end], unit.kind) for unit in units(text)]


def units(text: str) -> list[Unit]:
    return split_units([text])[0]


def test_sentences_have_exact_spans_without_surrounding_space() -> None:
    text = "  연차는 15일이다.  병가는 60일까지이다.\n"
    assert quotes(text) == [("연차는 15일이다.", UnitKind.SENTENCE), ("병가는 60일까지이다.", UnitKind.SENTENCE)]


def test_table_rows_read_with_their_header() -> None:
    found = units("숙박비는 다음과 같다.\n" + TABLE + "그 밖은 실비로 한다.")
    rows = [unit.shown for unit in found if unit.kind is UnitKind.ROW]
    assert rows == ["직급: 과장, 숙박비: 80,000원", "직급: 부장 | 이사, 숙박비: 100,000원"]
    assert [unit.shown for unit in found if unit.kind is not UnitKind.ROW] == [
        "숙박비는 다음과 같다.",
        "그 밖은 실비로 한다.",
    ]
    assert {"과장", "숙박비", "80000"} <= found[1].words


def test_table_without_header_shows_its_cells() -> None:
    assert [unit.shown for unit in units("| 가 | 나 |\n| 다 | 라 |")] == ["가, 나", "다, 라"]


def test_wrapped_lines_are_one_sentence_and_list_items_are_not() -> None:
    text = "1년간 80퍼센트 이상 출근한 임직원에게는 근속연수에\n따라 연차휴가를 준다.\n- 반차는 4시간이다\n- 반반차는"
    text += " 2시간이다"
    shown = [unit.shown for unit in units(text)]
    assert shown == [
        "1년간 80퍼센트 이상 출근한 임직원에게는 근속연수에 따라 연차휴가를 준다.",
        "반차는 4시간이다",
        "반반차는 2시간이다",
    ]


def test_questions_and_answers_are_told_apart() -> None:
    text = "Q. 연차를 이월할 수 있나요?\nA. 다음 해 3월까지 5일을 이월할 수 있습니다."
    assert quotes(text) == [
        ("Q. 연차를 이월할 수 있나요?", UnitKind.QUESTION),
        ("다음 해 3월까지 5일을 이월할 수 있습니다.", UnitKind.SENTENCE),
    ]


def test_headings_are_no_sentences() -> None:
    assert [kind for _, kind in quotes("## 연차휴가\n\n근속연수\n\n연차는 15일이다.")] == [
        UnitKind.HEADING,
        UnitKind.HEADING,
        UnitKind.SENTENCE,
    ]


def test_english_and_mixed_text() -> None:
    text = "You earn one day a month. At most 11.5 days a year.\n\nVPN 휴가는 15일이다. Ask hr@example.com first."
    assert [text[unit.start : unit.end] for unit in units(text)] == [
        "You earn one day a month.",
        "At most 11.5 days a year.",
        "VPN 휴가는 15일이다.",
        "Ask hr@example.com first.",
    ]


@pytest.mark.parametrize("text", ["", "\n\n", "|", "| --- |", "|||\n|-|", "...", "ㅋㅋㅋ", "| a |\n| - |"])
def test_odd_text_is_harmless(text: str) -> None:
    for unit in units(text):
        assert text[unit.start : unit.end].strip()


def test_spans_are_ordered_and_inside_real_pages() -> None:
    data = os.environ.get("LLMFLOW_EVAL_DATA")
    if not data:
        pytest.skip("LLMFLOW_EVAL_DATA names no folder with evaluation data")
    texts = [path.read_text("utf-8") for path in sorted((Path(data) / "ko_statutes/sample_md").rglob("*.md"))[:3]]
    assert texts
    for text, found in zip(texts, split_units(texts), strict=True):
        assert all(0 <= unit.start < unit.end <= len(text) for unit in found)
        assert all(one.end <= other.start for one, other in pairwise(found))
