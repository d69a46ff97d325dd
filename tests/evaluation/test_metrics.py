from __future__ import annotations

import math

import pytest

from evaluation.metrics import evaluate_run


def test_hand_computed_values() -> None:
    qrels = {"q": {"a": 2, "b": 1, "c": 1, "x": 0}}
    run = {"q": {"x": 9.0, "a": 8.0, "z": 7.0, "b": 6.0}}
    ideal = 2 + 1 / math.log2(3) + 1 / math.log2(4)
    expected = {
        "ndcg@10": (2 / math.log2(3) + 1 / math.log2(5)) / ideal,
        "recall@5": 2 / 3,
        "recall@10": 2 / 3,
        "recall@100": 2 / 3,
        "mrr@10": 1 / 2,
        "map": (1 / 2 + 2 / 4) / 3,
    }
    assert evaluate_run(qrels, run) == pytest.approx(expected, abs=1e-5)


def test_cut_offs() -> None:
    run = {"q": {f"d{number:03}": 200.0 - number for number in range(120)}}
    for rank, expected in ((5, (1, 1, 1, 1 / 5)), (10, (0, 1, 1, 1 / 10)), (11, (0, 0, 1, 0)), (101, (0, 0, 0, 0))):
        found = evaluate_run({"q": {f"d{rank - 1:03}": 1}}, run)
        assert (found["recall@5"], found["recall@10"], found["recall@100"]) == expected[:3]
        assert found["mrr@10"] == pytest.approx(expected[3])
        assert (found["ndcg@10"] > 0) == (rank <= 10)


def test_queries_without_results_count_as_zero() -> None:
    qrels = {"found": {"a": 1}, "empty": {"a": 1}, "missing": {"b": 1}, "wrong": {"b": 1}}
    run = {"found": {"a": 1.0}, "empty": {}, "wrong": {"a": 1.0}, "unjudged": {"a": 1.0}}
    assert evaluate_run(qrels, run) == dict.fromkeys(
        ("ndcg@10", "recall@5", "recall@10", "recall@100", "mrr@10", "map"), 0.25
    )
    assert set(evaluate_run(qrels, {}).values()) == {0.0}


@pytest.mark.parametrize("ids", [("a", "b"), ("d1", "d10"), ("d", "가"), ("Z", "a"), ("d9", "d10")])
def test_ties_are_broken_as_trec_eval_does_at_every_cut(ids: tuple[str, str]) -> None:
    """Of equal scores the id that sorts last stands first."""
    low, high = sorted(ids)
    above = {f"!{number}": 10.0 for number in range(9)}
    run = {"q": {**above, low: 1.0, high: 1.0}}
    assert evaluate_run({"q": {high: 1}}, run)["mrr@10"] == pytest.approx(0.1)
    assert evaluate_run({"q": {high: 1}}, run)["recall@10"] == 1
    assert evaluate_run({"q": {low: 1}}, run)["mrr@10"] == 0
    assert evaluate_run({"q": {low: 1}}, run)["recall@10"] == 0
