from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from passages import LEAVE, TRAVEL, result

from llmflow.generation.answer import Answerer
from llmflow.generation.cache import AnswerCache, question_vector
from llmflow.schema import Answer, Degradation, Scope
from llmflow.settings import CacheSettings, GenerationSettings
from llmflow.stores.keyvalue import KeyValueStore, open_keyvalue

QUESTION = "국내 출장의 일비는 얼마인가요?"
REWORDED = "국내출장 일비가 얼마인지 알려주세요."
HR = Scope("acme", ("hr", "shared"), user="kim")
LEAVE_ID, TRAVEL_ID = LEAVE.chunk.document_id, TRAVEL.chunk.document_id


class Documents:
    """The READY documents of a scope, as a database would tell."""

    def __init__(self) -> None:
        self.sha256 = {LEAVE_ID: "leave v1", TRAVEL_ID: "travel v1", "another": "v1"}

    def versions(self, scope: Scope, ids: Collection[str]) -> Mapping[str, str]:
        return {id_: sha256 for id_, sha256 in self.sha256.items() if id_ in ids}


@pytest.fixture
def documents() -> Documents:
    return Documents()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyValueStore]:
    opened = open_keyvalue(f"sqlite:///{tmp_path / 'keyvalue.db'}")
    yield opened
    opened.close()


@pytest.fixture
def cache(store: KeyValueStore, documents: Documents) -> AnswerCache:
    return with_settings(store, documents)


def with_settings(store: KeyValueStore, documents: Documents, **settings: Any) -> AnswerCache:
    return AnswerCache(store, CacheSettings(**settings), question_vector, documents.versions)


@pytest.fixture(scope="module")
def answer() -> Answer:
    """A real one, quoted from TRAVEL, with LEAVE among its candidates."""
    found = dataclasses.replace(result(QUESTION, TRAVEL, LEAVE), timings_ms={"lexical": 1.0}, trace_id="t1")
    made = Answerer(GenerationSettings(), None, lambda text: text).answer(QUESTION, found)
    assert made.mode == "extractive"
    assert {citation.document_id for citation in made.citations} == {TRAVEL_ID}
    return made


def outcome(cache: AnswerCache, scope: Scope, question: str, **shape: Any) -> str:
    return cache.lookup(scope, question, personal=False, **shape).outcome


def remember(cache: AnswerCache, answer: Answer, question: str = QUESTION, scope: Scope = HR, **shape: Any) -> None:
    assert cache.remember(scope, question, answer, personal=False, **shape) is None


def test_a_reworded_question_gets_the_whole_answer_again(cache: AnswerCache, answer: Answer) -> None:
    assert outcome(cache, HR, QUESTION, top_k=5) == "miss"
    remember(cache, answer, top_k=5)
    found = cache.lookup(HR, REWORDED, personal=False, top_k=5)
    assert found.outcome == "hit"
    assert found.degradation is None
    assert found.answer is not None
    assert answer.retrieval is not None
    assert (found.answer.text, found.answer.citations) == (answer.text, answer.citations)
    assert found.answer.retrieval is not None
    assert found.answer.retrieval.candidates == answer.retrieval.candidates


def test_nothing_of_the_first_request_comes_along(cache: AnswerCache, answer: Answer) -> None:
    remember(cache, answer)
    found = cache.lookup(HR, REWORDED, personal=False).answer
    assert found is not None
    assert found.retrieval is not None
    assert (found.trace_id, found.timings_ms) == (None, {})
    assert (found.retrieval.trace_id, found.retrieval.timings_ms) == (None, {})
    assert found.retrieval.query.text == REWORDED


@pytest.mark.parametrize(
    "scope",
    [
        Scope("globex", ("hr", "shared")),
        Scope("acme", ("hr",)),
        Scope("acme", ("hr", "it", "shared")),
        Scope("acme", ("hr,shared",)),
        Scope("acme", ("hr", "shared", "")),
        Scope('acme", ["hr"', ("shared",)),
        Scope("acme", ()),
    ],
)
def test_another_tenant_or_set_of_departments_never_sees_it(cache: AnswerCache, answer: Answer, scope: Scope) -> None:
    remember(cache, answer)
    assert outcome(cache, scope, QUESTION) == "miss"


def test_the_same_departments_in_another_order_share(cache: AnswerCache, answer: Answer) -> None:
    remember(cache, answer)
    assert outcome(cache, Scope("acme", ("shared", "hr", "hr"), user="lee"), QUESTION) == "hit"


def test_what_else_shapes_the_answer_is_told_apart(cache: AnswerCache, answer: Answer) -> None:
    remember(cache, answer, top_k=5, model="a")
    assert outcome(cache, HR, QUESTION, model="a", top_k=5) == "hit"
    for shape in (
        {"top_k": 6, "model": "a"},
        {"top_k": 5, "model": "b"},
        {"top_k": "5", "model": "a"},
        {"top_k": 5},
        {},
    ):
        assert outcome(cache, HR, QUESTION, **shape) == "miss"


@pytest.mark.parametrize("document_id", [TRAVEL_ID, LEAVE_ID])
@pytest.mark.parametrize("new_version", ["v2", None])
def test_it_goes_when_a_document_behind_it_changes_or_goes(
    cache: AnswerCache, documents: Documents, answer: Answer, document_id: str, new_version: str | None
) -> None:
    remember(cache, answer)
    before = documents.sha256.pop(document_id)
    if new_version:
        documents.sha256[document_id] = new_version
    assert outcome(cache, HR, QUESTION) == "miss"
    # It is gone for good, not hidden.
    documents.sha256[document_id] = before
    assert outcome(cache, HR, QUESTION) == "miss"


def test_other_documents_may_change(cache: AnswerCache, documents: Documents, answer: Answer) -> None:
    remember(cache, answer)
    documents.sha256["another"] = "v2"
    assert outcome(cache, HR, QUESTION) == "hit"


def test_an_answer_from_a_document_not_ready_is_not_kept(
    cache: AnswerCache, documents: Documents, answer: Answer
) -> None:
    sha256 = documents.sha256.pop(TRAVEL_ID)
    remember(cache, answer)
    documents.sha256[TRAVEL_ID] = sha256
    assert outcome(cache, HR, QUESTION) == "miss"


def test_it_expires(store: KeyValueStore, documents: Documents, answer: Answer) -> None:
    cache = with_settings(store, documents, ttl_s=1)
    remember(cache, answer)
    assert outcome(cache, HR, QUESTION) == "hit"
    time.sleep(1.05)
    assert outcome(cache, HR, QUESTION) == "miss"


def test_a_scope_keeps_its_newest_answers(store: KeyValueStore, documents: Documents, answer: Answer) -> None:
    cache = with_settings(store, documents, max_entries=2)
    it = Scope("acme", ("it",))
    remember(cache, answer, "일비는 얼마인가요?", it)
    questions = ["숙박비는 얼마인가요?", "식비는 얼마인가요?", "일비는 얼마인가요?"]
    for question in questions:
        remember(cache, answer, question)
    assert [outcome(cache, HR, question) for question in questions] == ["miss", "hit", "hit"]
    assert outcome(cache, it, "일비는 얼마인가요?") == "hit"


def test_one_answer_renewed_over_and_over_stays(store: KeyValueStore, documents: Documents, answer: Answer) -> None:
    cache = with_settings(store, documents, max_entries=1)
    for _ in range(3):
        remember(cache, answer)
        assert outcome(cache, HR, QUESTION) == "hit"


def changed(answer: Answer, **fields: Any) -> Answer:
    return dataclasses.replace(answer, **fields)


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "abstained"},
        {"citations": ()},
        {"unsupported": ("근거 없는 문장.",)},
        {"degradations": (Degradation("llm", "no answer"),)},
        {"text": "담당자는 [PERSON]입니다. [1]"},
    ],
)
def test_answers_not_to_be_repeated_are_not_kept(cache: AnswerCache, answer: Answer, change: dict[str, Any]) -> None:
    remember(cache, changed(answer, **change))
    assert outcome(cache, HR, QUESTION) == "miss"


def test_answers_from_a_degraded_search_are_not_kept(cache: AnswerCache, answer: Answer) -> None:
    assert answer.retrieval is not None
    retrieval = dataclasses.replace(answer.retrieval, degradations=(Degradation("dense", "failed"),))
    remember(cache, changed(answer, retrieval=retrieval))
    assert outcome(cache, HR, QUESTION) == "miss"


def test_masked_evidence_is_not_kept(cache: AnswerCache, answer: Answer) -> None:
    quote = dataclasses.replace(answer.citations[0], quote="문의: [PHONE_NUMBER]")
    remember(cache, changed(answer, citations=(quote,)))
    assert outcome(cache, HR, QUESTION) == "miss"
    assert answer.retrieval is not None
    cited, other = answer.retrieval.candidates
    masked = dataclasses.replace(cited, chunk=dataclasses.replace(cited.chunk, text=cited.chunk.text + " [EMAIL]"))
    remember(cache, changed(answer, retrieval=dataclasses.replace(answer.retrieval, candidates=(masked, other))))
    assert outcome(cache, HR, QUESTION) == "miss"


def test_personal_questions_go_past_the_cache(cache: AnswerCache, answer: Answer) -> None:
    assert cache.remember(HR, QUESTION, answer, personal=True) is None
    assert outcome(cache, HR, QUESTION) == "miss"
    remember(cache, answer)
    assert cache.lookup(HR, QUESTION, personal=True).outcome == "bypass"
    remember(cache, answer, "[PERSON]의 일비는 얼마인가요?")
    assert outcome(cache, HR, "[PERSON]의 일비는 얼마인가요?") == "bypass"


def test_a_question_that_says_nothing_goes_past_the_cache(cache: AnswerCache, answer: Answer) -> None:
    for question in ("안녕하세요?", "알려주세요", "?!", ""):
        remember(cache, answer, question)
        assert outcome(cache, HR, question) == "bypass"


def test_switched_off(store: KeyValueStore, documents: Documents, answer: Answer) -> None:
    cache = with_settings(store, documents, enabled=False)
    remember(cache, answer)
    assert outcome(cache, HR, QUESTION) == "bypass"
    assert outcome(with_settings(store, documents), HR, QUESTION) == "miss"


def test_a_dead_store_is_a_visible_bypass(documents: Documents, answer: Answer) -> None:
    cache = with_settings(open_keyvalue("redis://127.0.0.1:1/0"), documents)
    found = cache.lookup(HR, QUESTION, personal=False)
    assert (found.outcome, found.answer) == ("bypass", None)
    assert found.degradation is not None
    assert found.degradation.stage == "cache"
    degradation = cache.remember(HR, QUESTION, answer, personal=False)
    assert degradation is not None
    assert degradation.stage == "cache"
    assert "127.0.0.1" not in degradation.reason


def test_an_unreadable_entry_is_a_miss_and_goes(store: KeyValueStore, documents: Documents, answer: Answer) -> None:
    class Recorder:
        """The real store, remembering the keys written."""

        def __init__(self) -> None:
            self.keys: list[str] = []

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def set(self, key: str, value: bytes, ttl_s: float) -> None:
            self.keys.append(key)
            store.set(key, value, ttl_s)

    recorder: Any = Recorder()
    cache = with_settings(recorder, documents)
    remember(cache, answer)
    [key] = recorder.keys
    store.set(key, b'{"answer": "of another version"}', 60)
    assert outcome(cache, HR, QUESTION) == "miss"
    assert store.get(key) is None


def test_the_threshold_is_of_the_vectors(store: KeyValueStore, documents: Documents, answer: Answer) -> None:
    same, light = "노트북을 받을 수 있나요?", "저 노트북을 받을 수 있나요?"
    similarity = float(question_vector(same) @ question_vector(light))
    assert similarity < 1
    for threshold, expected in ((similarity + 0.01, "miss"), (similarity - 0.01, "hit")):
        cache = with_settings(store, documents, threshold=threshold)
        remember(cache, answer, same)
        assert outcome(cache, HR, light) == expected
    strict = with_settings(store, documents, threshold=1.0)
    remember(strict, answer, same)
    assert outcome(strict, HR, same) == "hit"


def test_vectors_of_another_embedder_are_not_compared(
    store: KeyValueStore, documents: Documents, answer: Answer
) -> None:
    remember(with_settings(store, documents), answer)
    other = AnswerCache(store, CacheSettings(), lambda _: np.ones(1, np.float32), documents.versions)
    assert outcome(other, HR, QUESTION) == "miss"
