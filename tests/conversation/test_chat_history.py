from __future__ import annotations

import time
from pathlib import Path

import pytest
from chats import CITATION, PRINCIPAL, principal

from llmflow.conversation.history import History, Summary
from llmflow.conversation.messages import answered, asked
from llmflow.errors import InvalidInputError
from llmflow.schema import Answer
from llmflow.settings import ChatSettings
from llmflow.stores.keyvalue import KeyValueStore, open_keyvalue


def test_messages_come_back_whole_and_in_order(store: KeyValueStore) -> None:
    history = History(store, ChatSettings())
    question = asked("해외는요?", "해외 출장 숙박비 한도는 얼마인가요?")
    answer = answered(Answer("260달러입니다. [1]", (CITATION,), "generative", trace_id="t1"))
    history.append(PRINCIPAL, "s", question, answer)
    assert history.messages(PRINCIPAL, "s") == [question, answer]
    assert answer.citations[0].quote == "연차휴가는 15일이다."
    assert question.question == "해외 출장 숙박비 한도는 얼마인가요?"


@pytest.mark.parametrize(
    "other",
    [
        principal(tenant="다른 회사"),
        principal(departments=("인사",)),
        principal(departments=("인사", "재무", "법무")),
        principal(departments=("인사재무",)),
        principal(subject="key:b"),
    ],
)
def test_nobody_else_reaches_a_session(store: KeyValueStore, other: object) -> None:
    history = History(store, ChatSettings())
    history.append(PRINCIPAL, "s", asked("질문"))
    history.summarize(PRINCIPAL, "s", Summary("요약", "x"))
    assert history.messages(other, "s") == []  # type: ignore[arg-type]
    assert history.summary(other, "s") is None  # type: ignore[arg-type]
    history.clear(other, "s")  # type: ignore[arg-type]
    assert len(history.messages(PRINCIPAL, "s")) == 1


def test_the_order_of_departments_does_not_matter(store: KeyValueStore) -> None:
    history = History(store, ChatSettings())
    history.append(PRINCIPAL, "s", asked("질문"))
    assert len(history.messages(principal(departments=("재무", "인사")), "s")) == 1
    assert history.messages(PRINCIPAL, "another") == []


def test_only_the_last_messages_are_kept(store: KeyValueStore) -> None:
    history = History(store, ChatSettings(max_messages=4))
    for number in range(7):
        history.append(PRINCIPAL, "s", asked(f"질문 {number}"))
    assert [message.content for message in history.messages(PRINCIPAL, "s")] == [f"질문 {n}" for n in (3, 4, 5, 6)]


def test_a_session_ends_its_time_to_live_after_its_last_message(store: KeyValueStore) -> None:
    history = History(store, ChatSettings(ttl_s=1))
    history.append(PRINCIPAL, "s", asked("하나"))
    history.summarize(PRINCIPAL, "s", Summary("요약", "x"))
    time.sleep(0.6)
    history.append(PRINCIPAL, "s", asked("둘"))
    time.sleep(0.6)
    assert len(history.messages(PRINCIPAL, "s")) == 2
    assert history.summary(PRINCIPAL, "s") is not None
    time.sleep(0.6)
    assert history.messages(PRINCIPAL, "s") == []
    assert history.summary(PRINCIPAL, "s") is None


def test_a_cleared_session_is_gone_from_the_file(tmp_path: Path, store: KeyValueStore) -> None:
    history = History(store, ChatSettings())
    history.append(PRINCIPAL, "s", asked("질문"))
    history.summarize(PRINCIPAL, "s", Summary("요약", "x"))
    history.clear(PRINCIPAL, "s")
    again = open_keyvalue(f"sqlite:///{tmp_path / 'keyvalue.db'}")
    assert History(again, ChatSettings()).messages(PRINCIPAL, "s") == []
    assert History(again, ChatSettings()).summary(PRINCIPAL, "s") is None
    again.close()


@pytest.mark.parametrize("session", ["", "a b", "세션", "a" * 65, "../x", "a\n"])
def test_a_session_id_outside_what_is_allowed_is_refused(store: KeyValueStore, session: str) -> None:
    with pytest.raises(InvalidInputError, match="1 to 64 letters"):
        History(store, ChatSettings()).messages(PRINCIPAL, session)
