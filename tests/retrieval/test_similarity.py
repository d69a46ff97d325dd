from __future__ import annotations

import numpy as np
import pytest
from small_corpus import chunk

from llmflow.retrieval.diversity import diversify
from llmflow.retrieval.similarity import Shingles, letters_of
from llmflow.schema import Candidate


def naive_jaccard(one: str, other: str) -> float:
    left, right = ({text[i : i + 5] for i in range(max(len(text) - 4, 1))} for text in (one, other))
    return len(left & right) / len(left | right)


@pytest.mark.parametrize("seed", range(10))
def test_jaccard_is_that_of_plain_sets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = ("".join(rng.choice(list("가나다라ab"), rng.integers(1, 80))) for _ in range(2))
    assert Shingles.of(one).jaccard(Shingles.of(other)) == pytest.approx(naive_jaccard(one, other))


def test_marks_agree_as_often_as_texts_are_alike() -> None:
    rng = np.random.default_rng(3)
    agreed, alike = [], []
    for _ in range(300):
        text = "".join(rng.choice(list("가나다라마바사아자차"), 120))
        other = text[: rng.integers(60, 120)] + "카타파하"
        left, right = Shingles.of(text), Shingles.of(other)
        agreed.append(np.mean([a == b for a, b in zip(left.marks, right.marks, strict=True)]))
        alike.append(left.jaccard(right))
    assert np.mean(agreed) == pytest.approx(np.mean(alike), abs=0.03)


def test_letters_are_without_spaces_punctuation_and_case() -> None:
    assert letters_of(" 제60조 (휴가)!\nLeave") == "제60조휴가leave"
    assert letters_of("?!") == "?!"


def candidates(*scored: tuple[str, float]) -> list[Candidate]:
    return [Candidate(chunk(str(number), text), score) for number, (text, score) in enumerate(scored)]


def test_what_repeats_steps_back_and_the_best_stays_first() -> None:
    leave = "연차휴가는 시작 3일 전까지 그룹웨어에서 신청하고 부서장의 결재를 받는다"
    found = candidates((leave, 0.9), (leave + " 반드시", 0.85), ("출장비는 영수증을 첨부하여 정산한다", 0.6))
    assert diversify(found, 0.0) == (0, 1, 2)
    assert diversify(found, 0.5) == (0, 2, 1)


def test_the_order_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(5)
    texts = ["".join(rng.choice(list("가나다"), 30)) for _ in range(12)]
    found = candidates(*((text, float(score)) for text, score in zip(texts, rng.random(12), strict=True)))
    expected: list[int] = []
    while len(expected) < len(found):

        def gain(at: int) -> float:
            near = max([naive_jaccard(texts[at], texts[other]) for other in expected], default=0.0)
            return 0.7 * found[at].score - 0.3 * near

        expected.append(max((at for at in range(12) if at not in expected), key=gain))
    assert diversify(found, 0.3) == tuple(expected)


def test_a_longer_pool_only_adds_candidates_where_nothing_repeats() -> None:
    found = candidates(("가나다라마바", 0.9), ("사아자차카타", 0.8), ("abcdefgh", 0.7))
    assert diversify(found[:2], 0.4) == diversify(found, 0.4)[:2]
