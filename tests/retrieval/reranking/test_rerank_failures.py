from __future__ import annotations

import socket
import time

import pytest
from rerank_asking import BY_FIVE, FIVE, METHODS, QUERY, passages, rerank, reranker
from scripted_student import scripted_student

from llmflow.errors import ConfigurationError, DeadlineError, UpstreamError
from llmflow.models.llm import LLMClient
from llmflow.retrieval.reranking import build_reranker
from llmflow.settings import LLMSettings, RerankerSettings


@pytest.mark.parametrize("text", ["", "모르겠습니다", "<think>[3] > [1]"])
def test_a_model_that_writes_no_order_is_an_error(text: str) -> None:
    with scripted_student(writes=text) as student, pytest.raises(UpstreamError, match="student wrote no order"):
        rerank(student, "permutation", FIVE)


def test_a_model_that_gives_no_label_a_chance_is_an_error() -> None:
    with (
        scripted_student(vllm=False, instead="<think>") as student,
        pytest.raises(UpstreamError, match="none of the labels A, B, C, D, E"),
    ):
        rerank(student, "listwise", FIVE)


@pytest.mark.parametrize("vllm", [True, False])
def test_a_server_without_log_probabilities_is_told_apart(vllm: bool) -> None:
    with (
        scripted_student(vllm=vllm, logprobs=False) as student,
        pytest.raises(UpstreamError, match=r"no log-probabilities; use reranker\.method=permutation"),
    ):
        rerank(student, "listwise", FIVE)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fault", [500, 400, "truncate"])
def test_a_server_that_fails_is_an_upstream_error(method: str, fault: int | str) -> None:
    with scripted_student(faults=[fault] * 20) as student, pytest.raises(UpstreamError) as error:
        rerank(student, method, FIVE)
    assert student.url in error.value.message


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fault", [500, "truncate"])
def test_a_failure_that_passes_is_tried_again(method: str, fault: int | str) -> None:
    with scripted_student(faults=[fault]) as student:
        settings = RerankerSettings(method=method)
        llm = student.client(retries=1, backoff_s=0.01)
        result = build_reranker(settings, llm).rerank(QUERY, passages(FIVE), time.monotonic() + 30)
    assert result.order == BY_FIVE


@pytest.mark.parametrize("method", METHODS)
def test_the_deadline_holds_while_the_server_hangs(method: str) -> None:
    with scripted_student(faults=["hang"] * 20) as student:
        start = time.monotonic()
        with pytest.raises(DeadlineError, match=r"reranker\.deadline_s"):
            rerank(student, method, FIVE, seconds=0.3)
        assert time.monotonic() - start < 10  # the server hangs for 20


@pytest.mark.parametrize("method", METHODS)
def test_a_deadline_that_is_over_calls_nobody(method: str) -> None:
    with scripted_student() as student:
        with pytest.raises(DeadlineError):
            rerank(student, method, FIVE, seconds=-1)
        assert not student.paths


@pytest.mark.parametrize("method", METHODS)
def test_nobody_listening(method: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        llm = LLMClient(LLMSettings(base_url=f"http://127.0.0.1:{unused.getsockname()[1]}/v1", retries=0))
        with pytest.raises(UpstreamError, match="check that the server runs"):
            build_reranker(RerankerSettings(method=method), llm).rerank(QUERY, ["가", "나"], time.monotonic() + 30)


def test_a_server_that_keeps_failing_is_left_alone() -> None:
    with scripted_student(faults=[500] * 3) as student:
        llm = student.client(breaker_failures=3, breaker_pause_s=60)
        method = build_reranker(RerankerSettings(method="listwise"), llm)
        for _ in range(5):
            with pytest.raises(UpstreamError) as error:
                method.rerank(QUERY, passages(FIVE), time.monotonic() + 30)
        assert len(student.chats) == 3
        assert "left alone" in error.value.message
        with pytest.raises(UpstreamError, match="left alone"):
            llm.complete_text([{"role": "user", "content": "?"}], 5)


@pytest.mark.parametrize(("method", "words", "label"), [("pointwise", ("yes",), "'no'"), ("listwise", ("\nC",), "'C'")])
def test_labels_that_are_not_one_token_are_refused_by_name(method: str, words: tuple[str, ...], label: str) -> None:
    with scripted_student(words=words) as student:
        method_ = reranker(student, method)
        with pytest.raises(ConfigurationError, match=f"the label {label} is not exactly one token"):
            method_.check(time.monotonic() + 30)
        assert not student.chats


def test_labels_are_looked_up_once() -> None:
    with scripted_student() as student:
        method = reranker(student, "listwise")
        method.check(time.monotonic() + 30)
        asked = len(student.paths)
        for _ in range(2):
            method.rerank(QUERY, passages(FIVE), time.monotonic() + 30)
    assert student.paths[asked:] == ["/v1/chat/completions"] * 2


def test_unchecked_labels_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with scripted_student(vllm=False) as student:
        reranker(student, "listwise").check(time.monotonic() + 30)
    assert "is not checked" in caplog.text
