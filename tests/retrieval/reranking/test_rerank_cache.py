from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from scripted_student import ScriptedStudent, scripted_student

from llmflow.errors import ConfigurationError, UpstreamError
from llmflow.retrieval.reranking import CachedReranker, open_reranker
from llmflow.settings import RerankerSettings
from llmflow.stores.keyvalue import KeyValueStore, open_keyvalue

TEXTS = ["관련도 1 [PERSON]", "관련도 5", "관련도 3"]


@pytest.fixture
def store(tmp_path: Path) -> KeyValueStore:
    return open_keyvalue(f"sqlite:///{tmp_path / 'keyvalue.db'}")


def opened(student: ScriptedStudent, store: KeyValueStore, **settings: Any) -> CachedReranker:
    reranker = open_reranker(RerankerSettings(**{"method": "listwise", **settings}), student.client(), store)
    assert reranker is not None
    return reranker


def rerank(
    reranker: CachedReranker, tenant: str = "t", query: str = "연차?", texts: list[str] = TEXTS
) -> tuple[tuple[int, ...], int]:
    result = reranker.rerank(tenant, query, texts, time.monotonic() + 30)
    return result.order, result.requests


def test_the_same_again_takes_no_requests(store: KeyValueStore) -> None:
    with scripted_student() as student:
        first = opened(student, store).rerank("t", "연차?", TEXTS, time.monotonic() + 30)
        again = opened(student, store).rerank("t", "연차?", TEXTS, time.monotonic() + 30)
    assert first.requests == 1
    assert (again.order, again.scores, again.confidence) == (first.order, first.scores, first.confidence)
    assert (again.requests, again.prompt_tokens, again.completion_tokens) == (0, 0, 0)
    assert len(student.chats) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"model": "student-rerank@1"}},
        {"settings": {"method": "setwise"}},
        {"settings": {"passage_tokens": 100}},
        {"settings": {"slope": 2.0}},
        {"call": {"tenant": "u"}},
        {"call": {"query": "연차는?"}},
        {"call": {"texts": TEXTS[::-1]}},
        {"call": {"texts": [*TEXTS[:2], "관련도 3."]}},
    ],
)
def test_whatever_shapes_a_reranking_is_in_its_key(store: KeyValueStore, change: dict[str, Any]) -> None:
    with scripted_student() as student:
        rerank(opened(student, store))
        assert rerank(opened(student, store, **change.get("settings", {})), **change.get("call", {}))[1] > 0


def test_how_it_is_called_is_not(store: KeyValueStore) -> None:
    with scripted_student() as student:
        rerank(opened(student, store))
        assert rerank(opened(student, store, deadline_s=1, concurrency=1, depth=50))[1] == 0


def test_zero_seconds_keep_nothing(store: KeyValueStore) -> None:
    with scripted_student() as student:
        reranker = opened(student, store, cache_ttl_s=0)
        assert [rerank(reranker)[1], rerank(reranker)[1]] == [1, 1]


def test_a_store_that_does_not_answer_is_a_miss(caplog: pytest.LogCaptureFixture) -> None:
    with scripted_student() as student:
        reranker = opened(student, open_keyvalue("redis://127.0.0.1:1/0"))
        assert [rerank(reranker), rerank(reranker)] == [((1, 2, 0), 1)] * 2
    assert "not looked up" in caplog.text


@pytest.mark.parametrize("rubbish", [b"{", b"[]", b'{"order": [0, 0, 1]}', b"\xff"])
def test_rubbish_in_the_store_is_a_miss(tmp_path: Path, store: KeyValueStore, rubbish: bytes) -> None:
    with scripted_student() as student:
        rerank(opened(student, store))
        _overwrite(tmp_path / "keyvalue.db", rubbish)
        assert rerank(opened(student, store)) == ((1, 2, 0), 1)
        assert rerank(opened(student, store)) == ((1, 2, 0), 0)


def test_neither_question_nor_passages_are_stored(tmp_path: Path, store: KeyValueStore) -> None:
    with scripted_student() as student:
        rerank(opened(student, store), tenant="회사", query="연차는 며칠?")
    data = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"rerank:" in data
    for text in ("연차는", "관련도", "회사"):
        assert text.encode() not in data


def test_failures_are_not_kept(store: KeyValueStore) -> None:
    with scripted_student(faults=[500]) as student:
        reranker = opened(student, store)
        with pytest.raises(UpstreamError):
            rerank(reranker)
        assert rerank(reranker) == ((1, 2, 0), 1)


def test_failures_of_the_reranker_do_not_open_the_breaker_of_others(store: KeyValueStore) -> None:
    with scripted_student(faults=[500] * 2) as student:
        llm = student.client(breaker_failures=2)
        reranker = open_reranker(RerankerSettings(method="listwise"), llm, store)
        assert reranker is not None
        for _ in range(3):
            with pytest.raises(UpstreamError) as error:
                rerank(reranker)
        assert "left alone" in error.value.message
        assert llm.complete_text([{"role": "user", "content": "[1]\n<passage>\n관련도 1\n</passage>"}], 5).text == "[1]"


def test_none_is_no_reranker(store: KeyValueStore) -> None:
    assert open_reranker(RerankerSettings(), None, store) is None


def test_a_method_without_an_llm_is_refused(store: KeyValueStore) -> None:
    with pytest.raises(ConfigurationError, match=r"'listwise', which needs an LLM; set llm\.base_url"):
        open_reranker(RerankerSettings(method="listwise"), None, store)


def test_labels_are_checked_at_the_start(store: KeyValueStore) -> None:
    with scripted_student(words=()) as student, pytest.raises(ConfigurationError, match="the label 'yes'"):
        opened(student, store, method="pointwise")


def test_a_server_that_is_down_at_the_start_stops_nothing(
    store: KeyValueStore, caplog: pytest.LogCaptureFixture
) -> None:
    with scripted_student() as student:
        url = student.url
    student.url = url
    reranker = opened(student, store)
    assert "not checked yet" in caplog.text
    with pytest.raises(UpstreamError):
        rerank(reranker)


def _overwrite(path: Path, value: bytes) -> None:
    import sqlite3

    with sqlite3.connect(path) as connection:
        assert connection.execute("UPDATE parts SET value = ?", (value,)).rowcount == 1
