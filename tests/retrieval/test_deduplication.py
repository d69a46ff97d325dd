from __future__ import annotations

import pytest
from small_corpus import chunk

from llmflow.retrieval.deduplication import deduplicate
from llmflow.schema import Candidate

LONG = "연차휴가는 시작 3일 전까지 그룹웨어에서 신청하고 부서장의 결재를 받아야 한다. " + " ".join(
    f"{number}번째 문장은 서로 다른 낱말 {number * 7919}을 담는다." for number in range(40)
)


def kept(*texts: str, similarity: float = 0.9) -> list[int]:
    candidates = [Candidate(chunk(str(number), text), 1.0 - number / 100) for number, text in enumerate(texts)]
    return [int(candidate.chunk.id) for candidate in deduplicate(candidates, similarity)]


def test_the_best_ranked_of_texts_that_say_the_same_stays() -> None:
    assert kept(LONG, "다른 글", LONG.replace(" ", "\n"), LONG + "!", LONG.replace(".", " . ")) == [0, 1]


@pytest.mark.parametrize(
    ("old", "new"), [("3일", "5일"), ("받아야 한다", "받지 않는다"), ("전까지", "미만까지"), ("신청하고", "신청 없이")]
)
def test_texts_that_differ_in_one_number_negation_or_limit_both_stay(old: str, new: str) -> None:
    assert kept(LONG, LONG.replace(old, new)) == [0, 1]


def test_an_english_negation_keeps_both() -> None:
    text = " ".join(f"Sentence {number} of this policy says something of its own." for number in range(30))
    assert kept(f"You may share it. {text}", f"You may not share it. {text}", f"You can share it. {text}") == [0, 1]


def test_a_reworded_text_goes_unless_only_equal_letters_count() -> None:
    reworded = LONG.replace("그룹웨어에서", "그룹웨어로").replace("부서장의", "부서장")
    assert kept(LONG, "다른 글", reworded) == [0, 1]
    assert kept(LONG, "다른 글", reworded, similarity=1.0) == [0, 1, 2]


def test_texts_that_share_much_but_not_nearly_all_stay() -> None:
    assert kept(LONG, LONG[: len(LONG) * 9 // 10], LONG[len(LONG) // 2 :]) == [0, 1, 2]


def test_short_and_empty_texts() -> None:
    assert kept("휴가", "휴 가", "휴일", "", " ", "a", "A") == [0, 2, 3, 4, 5]


def test_candidates_are_drawn_one_by_one() -> None:
    def endless():  # type: ignore[no-untyped-def]
        number = 0
        while True:
            yield Candidate(chunk(str(number), f"글 {number} " * 5), 1.0)
            number += 1

    found = deduplicate(endless(), 0.9)
    assert [next(found).chunk.id for _ in range(3)] == ["0", "1", "2"]
