from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from rerank_asking import BY_FIVE, FIVE, METHODS, QUERY, passages, rerank, reranker
from scripted_student import scripted_student

from llmflow.retrieval.reranking import Reranking


def shuffled(count: int) -> list[int]:
    relevances = list(range(count))
    random.Random(count).shuffle(relevances)
    return relevances


def best_first(relevances: Sequence[float]) -> list[int]:
    return sorted(range(len(relevances)), key=lambda index: -relevances[index])


@pytest.mark.parametrize("vllm", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_the_best_come_first(method: str, vllm: bool) -> None:
    with scripted_student(vllm=vllm) as student:
        result = rerank(student, method, FIVE)
    assert result.order == BY_FIVE
    assert result.missing == 0
    assert result.requests == len(student.chats)
    assert result.prompt_tokens > 0
    if result.scores is not None:
        assert best_first(result.scores) == list(BY_FIVE)
        assert all(0 < score < 1 for score in result.scores)


@pytest.mark.parametrize("method", ["listwise", "permutation"])
@pytest.mark.parametrize("count", [21, 47, 100])
def test_windows_carry_the_best_ten_to_the_front(method: str, count: int) -> None:
    relevances = shuffled(count)
    with scripted_student() as student:
        result = rerank(student, method, relevances)
    assert sorted(result.order) == list(range(count))
    assert list(result.order[:10]) == best_first(relevances)[:10]
    if result.scores is not None:
        assert all(result.scores[better] >= result.scores[worse] for better, worse in pairwise(result.order))


@pytest.mark.parametrize("count", [2, 3, 4, 5, 20, 61])
def test_setwise_puts_the_head_in_order_and_leaves_the_rest(count: int) -> None:
    relevances = shuffled(count)
    with scripted_student() as student:
        result = rerank(student, "setwise", relevances, head=6, set_size=4)
    head = best_first(relevances)[: min(6, count - 1)]
    assert result.order == (*head, *sorted(set(range(count)) - set(head)))
    assert result.scores is None
    assert result.completion_tokens == result.requests == len(student.chats)


@pytest.mark.parametrize("method", METHODS)
def test_one_passage_or_none(method: str) -> None:
    with scripted_student() as student:
        none, one = rerank(student, method, []), rerank(student, method, [7])
    assert none == Reranking((), None, None, 0, 0, 0, 0)
    assert one.order == (0,)
    assert one.confidence is None
    if method == "pointwise":
        assert one.scores == pytest.approx([1 / (1 + math.exp(-7))])
    else:
        assert one.scores is None
        assert not student.chats


@pytest.mark.parametrize("method", ["listwise", "pointwise", "permutation"])  # heap sort is not stable
def test_equal_passages_stay_as_they_are(method: str) -> None:
    with scripted_student() as student:
        assert rerank(student, method, [3] * 6).order == tuple(range(6))


def test_listwise_is_one_request_of_one_token_for_twenty_passages() -> None:
    with scripted_student() as student:
        result = rerank(student, "listwise", shuffled(20))
    assert list(result.order) == best_first(shuffled(20))
    assert (result.requests, result.completion_tokens, len(student.chats)) == (1, 1, 1)
    request = student.chats[0]
    assert request["max_tokens"] == 1
    assert request["temperature"] == 0
    assert request["seed"] == 0
    assert request["logprob_token_ids"] == [ord(letter) for letter in "ABCDEFGHIJKLMNOPQRST"]
    assert request["chat_template_kwargs"] == {"enable_thinking": False}


def test_listwise_scores_are_probabilities_against_chance() -> None:
    with scripted_student() as student:
        result = rerank(student, "listwise", FIVE, slope=0.5, intercept=-0.25)
    total = sum(math.exp(value) for value in FIVE)
    raws = [value - math.log(total) + math.log(5) for value in FIVE]
    assert result.scores == pytest.approx([1 / (1 + math.exp(0.25 - 0.5 * raw)) for raw in raws])
    assert result.confidence == pytest.approx((math.exp(9) - math.exp(7)) / total)


def test_listwise_asks_again_in_reverse_where_the_first_two_are_close() -> None:
    with scripted_student(first_bonus=1.8) as student:
        trusting = rerank(student, "listwise", [5, 6, 5], margin=0)
        doubting = rerank(student, "listwise", [5, 6, 5], margin=0.95)
    assert trusting.order == (0, 1, 2)
    assert trusting.requests == 1
    assert doubting.order == (1, 0, 2)
    assert doubting.requests == doubting.completion_tokens == 2
    # Half the bonus goes to the first passage and half to the last, which is the first in reverse.
    total = math.exp(5.9) + math.exp(6) + math.exp(5.9)
    assert doubting.confidence == pytest.approx((math.exp(6) - math.exp(5.9)) / total)


def test_pointwise_scores_are_the_share_of_yes() -> None:
    with scripted_student() as student:
        result = rerank(student, "pointwise", [2, -1, 0])
    shares = [1 / (1 + math.exp(-value)) for value in (2, -1, 0)]
    assert result.scores == pytest.approx(shares)
    assert result.confidence == pytest.approx(shares[0] - shares[2])
    assert result.requests == result.completion_tokens == 3


def test_pointwise_asks_in_the_language_of_the_question() -> None:
    with scripted_student() as student:
        method = reranker(student, "pointwise")
        method.rerank("How many days?", ["relevance 3", "relevance 5"], time.monotonic() + 30)
        method.rerank("며칠?", ["관련도 3", "관련도 5"], time.monotonic() + 30)
    asked = [student.text(chat["logprob_token_ids"]) for chat in student.chats]
    assert sorted(asked) == ["OX", "OX", "yesno", "yesno"]


def test_the_margin_of_setwise_is_of_the_set_that_made_the_first() -> None:
    with scripted_student() as student:
        result = rerank(student, "setwise", [1, 2, 3, 4], set_size=4, head=3)
    total = sum(math.exp(value) for value in (1, 2, 3, 4))
    assert result.confidence == pytest.approx((math.exp(4) - math.exp(3)) / total)


def test_labels_that_do_not_come_back_are_counted_and_come_last() -> None:
    with scripted_student(vllm=False, shown=3) as student:
        result = rerank(student, "listwise", FIVE)
    assert result.order == BY_FIVE
    assert result.missing == 2
    assert result.scores is not None
    assert result.scores[0] == result.scores[4] < result.scores[2]
    assert "logprob_token_ids" not in student.chats[0]
    assert student.chats[0]["top_logprobs"] == 20
    assert "chat_template_kwargs" not in student.chats[0]


def test_numbers_not_written_are_counted() -> None:
    with scripted_student(writes="순서는 [2] > [4] 입니다") as student:
        result = rerank(student, "permutation", FIVE)
    assert result.order == (1, 3, 0, 2, 4)
    assert result.missing == 3


def test_vllm_is_held_to_the_form_of_an_order() -> None:
    with scripted_student() as student, scripted_student(vllm=False) as other:
        rerank(student, "permutation", FIVE)
        rerank(other, "permutation", FIVE)
    assert "regex" in student.chats[0]["structured_outputs"]
    assert "structured_outputs" not in other.chats[0]


def test_the_model_of_the_reranker_is_asked() -> None:
    with scripted_student() as student:
        rerank(student, "listwise", FIVE)
        result = reranker(student, "listwise", model="student-rerank@1234abcd")
        result.rerank(QUERY, passages(FIVE), time.monotonic() + 30)
    assert [chat["model"] for chat in student.chats] == ["student", "student-rerank@1234abcd"]
    assert result.version == "student-rerank@1234abcd"
    assert result.name == "listwise"


def test_long_passages_are_cut_before_they_are_sent() -> None:
    long = "서론이 길다. " * 300 + "연차는 며칠인가 하면 관련도 9 이다. " + "결론도 길다. " * 300
    with scripted_student() as student:
        order = reranker(student, "listwise").rerank(QUERY, ["관련도 1", long], time.monotonic() + 30).order
    assert order == (1, 0)
    assert len(student.chats[0]["messages"][1]["content"]) < 1000
