from __future__ import annotations

from passages import LEAVE, TRAVEL, candidate

from llmflow.generation.window import choose_passages
from llmflow.korean import count_tokens


def test_everything_that_fits_is_shown_whole_and_numbered_by_rank() -> None:
    passages = choose_passages([LEAVE, TRAVEL], 1500)
    assert [(p.number, p.text) for p in passages] == [(1, LEAVE.chunk.text), (2, TRAVEL.chunk.text)]


def test_the_first_that_does_not_fit_is_cut_after_a_sentence() -> None:
    budget = count_tokens(TRAVEL.chunk.text) + count_tokens(LEAVE.chunk.text) - 5
    first, second = choose_passages([TRAVEL, LEAVE], budget)
    assert first.text == TRAVEL.chunk.text
    assert second.text.endswith("15일의 연차휴가를 준다.")
    assert count_tokens(first.text) + count_tokens(second.text) <= budget


def test_a_table_is_cut_after_a_row() -> None:
    (passage,) = choose_passages([TRAVEL], count_tokens(TRAVEL.chunk.text) - 3)
    assert passage.text.endswith("| 숙박비 | 1박 120,000원 한도 | 실비 |")


def test_nothing_is_shown_beyond_the_cut() -> None:
    small = candidate("연차는 15일이다.", name="작은.md")
    passages = choose_passages([LEAVE, LEAVE, small], count_tokens(LEAVE.chunk.text) + 2)
    assert [p.number for p in passages] == [1]


def test_the_best_passage_is_shown_even_if_its_first_sentence_is_too_long() -> None:
    endless = candidate("연차휴가 " * 1000)
    (passage,) = choose_passages([endless], 100)
    assert 0 < count_tokens(passage.text) <= 100
