from __future__ import annotations

from collections import Counter

import bm25s
import numpy as np
import pytest

from llmflow.korean import analyze
from llmflow.models.sparse import dimension
from llmflow.stores.postings import Postings, bm25, match, to_arrays

CORPUS = [
    "근로자에게 1년간 80퍼센트 이상 출근하면 15일의 유급휴가를 준다.",
    "연차휴가는 시작 3일 전까지 신청하고 부서장의 결재를 받는다.",
    "출장비는 영수증을 첨부하여 7일 이내에 정산한다. 출장 중 식비는 1식 15,000원이다.",
    "비밀번호는 90일마다 바꾸며 다른 사람과 나누어 쓰지 않는다.",
    "Employees may work from home two days a week after three months.",
    "Expenses are reimbursed within ten days. Receipts are required for expenses over 10,000 won.",
    "재택근무는 VPN 연결이 필수이며 remote work policy를 따른다.",
    "회의실 예약은 그룹웨어에서 한다.",
    "휴가 휴가 휴가 휴가",
    "",
]
QUESTIONS = [
    "연차휴가 신청은 언제까지?",
    "출장비 정산 영수증",
    "remote work VPN",
    "expenses receipts 10,000",
    "없는낱말 휴가",
]


def tokens(texts: list[str]) -> list[list[str]]:
    return [[gram for sentence in text for gram in sentence.grams] for text in analyze(texts)]


def vector(terms: list[str]) -> dict[int, float]:
    return {dimension(term, "grams"): float(count) for term, count in Counter(terms).items()}


def scores(
    postings: list[Postings], live: list[np.ndarray], query: dict[int, float], k1: float, b: float
) -> np.ndarray:
    keys, tf = to_arrays(query)
    matched = [match(part, alive, keys) for part, alive in zip(postings, live, strict=True)]
    return np.concatenate(bm25(matched, tf, k1, b)[0])


@pytest.mark.parametrize(("k1", "b"), [(1.5, 0.8), (1.2, 0.75), (0.9, 0.0), (2.0, 1.0)])
@pytest.mark.parametrize("question", QUESTIONS)
def test_bm25_is_that_of_bm25s(question: str, k1: float, b: float) -> None:
    corpus = tokens(CORPUS)
    reference = bm25s.BM25(method="lucene", k1=k1, b=b)
    reference.index(corpus, show_progress=False)
    query = list(dict.fromkeys(tokens([question])[0]))
    known = [term for term in query if any(term in text for text in corpus)]
    expected = reference.get_scores(known) * (k1 + 1)
    postings = Postings.build([to_arrays(vector(text)) for text in corpus])
    mine = scores([postings], [np.ones(len(corpus), bool)], vector(query), k1, b)
    assert expected.max() > 0
    np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-6)


def test_a_term_asked_twice_weighs_one_plus_ln_two() -> None:
    corpus = tokens(CORPUS)
    postings, live = [Postings.build([to_arrays(vector(text)) for text in corpus])], [np.ones(len(corpus), bool)]
    holiday, trip = dimension("휴가", "grams"), dimension("출장", "grams")
    once, other = scores(postings, live, {holiday: 1}, 1.5, 0.8), scores(postings, live, {trip: 1}, 1.5, 0.8)
    both = scores(postings, live, {holiday: 2, trip: 1}, 1.5, 0.8)
    np.testing.assert_allclose(both, once * (1 + np.log(2)) + other, rtol=1e-5)


def test_segments_and_dead_rows_score_as_one_fresh_index() -> None:
    corpus = [to_arrays(vector(text)) for text in tokens(CORPUS)]
    parts = [Postings.build(corpus[:4]), Postings.build(corpus[4:])]
    live = [np.array([True, False, True, True]), np.array([True, True, False, True, True, True])]
    alive = np.concatenate(live)
    fresh = Postings.build([text for text, keep in zip(corpus, alive, strict=True) if keep])
    for question in tokens(QUESTIONS):
        mine = scores(parts, live, vector(question), 1.5, 0.8)
        np.testing.assert_allclose(
            mine[alive], scores([fresh], [np.ones(alive.sum(), bool)], vector(question), 1.5, 0.8), rtol=1e-5
        )
        assert not mine[~alive].any()


def test_no_score_reaches_the_bound() -> None:
    corpus = tokens([*CORPUS, "휴가 " * 5000])
    postings = Postings.build([to_arrays(vector(text)) for text in corpus])
    for query in ({dimension("휴가", "grams"): 1.0}, vector(tokens(["연차휴가 없는낱말"])[0])):
        keys, tf = to_arrays(query)
        (found,), bound = bm25([match(postings, np.ones(len(corpus), bool), keys)], tf, 1.5, 0.8)
        assert 0 < found.max() < bound
    assert found.max() < 0.8 * bound, "words no document knows must lower every share of the bound"


def test_nothing_to_search_and_nothing_asked() -> None:
    empty = Postings.build([])
    keys, tf = to_arrays({4: 1.0})
    found, bound = bm25([match(empty, np.empty(0, bool), keys)], tf, 1.5, 0.8)
    assert [len(part) for part in found] == [0]
    assert bound == 0
    assert bm25([], tf, 1.5, 0.8) == ([], 0.0)
    some = Postings.build([to_arrays({4: 1.0}), to_arrays({})])
    keys, tf = to_arrays({})
    (found_none,), bound = bm25([match(some, np.ones(2, bool), keys)], tf, 1.5, 0.8)
    assert found_none.tolist() == [0, 0]
    assert bound == 0


def test_lookup_finds_the_lists_of_known_terms_only() -> None:
    postings = Postings.build([to_arrays({6: 1.0, 2: 2.0}), to_arrays({6: 3.0, 4_294_967_294: 1.0})])
    starts, sizes = postings.lookup(np.array([0, 2, 4, 6, 4_294_967_294, 4_294_967_295], np.uint32))
    assert sizes.tolist() == [0, 1, 0, 2, 1, 0]
    assert sorted(postings.tf[starts[3] : starts[3] + 2].tolist()) == [1, 3]
    assert postings.lengths.tolist() == [3, 4]
