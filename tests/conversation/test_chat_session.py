from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from chat_server import answer as scripted
from chat_server import chat_server
from chats import CITATION, PRINCIPAL, Answers, all_events, conversations, principal, text_of

from llmflow.conversation.running import Running
from llmflow.errors import ConflictError, InvalidInputError, LLMFlowError, NotFoundError, OverloadedError, UpstreamError
from llmflow.generation.answer import AnswerEvent, TextDelta
from llmflow.models.llm import Message
from llmflow.schema import Scope
from llmflow.settings import LLMSettings
from llmflow.stores.keyvalue import KeyValueStore, open_keyvalue

FIRST = "국내 출장 숙박비 한도는 얼마인가요?"


def test_a_question_is_answered_with_growing_event_ids_and_kept(
    store: KeyValueStore, executor: ThreadPoolExecutor, tmp_path: Path
) -> None:
    chat = conversations(store, Answers(), executor, tmp_path)
    events = asyncio.run(all_events(chat.start(PRINCIPAL, "s", FIRST)))
    assert [event.event for event in events] == ["delta", "delta", "delta", "finished"]
    assert [event.id for event in events] == list(range(events[0].id, events[0].id + 4))
    assert events[-1].data["text"] == "하나 둘 셋"
    assert events[-1].data["degradations"] == ()
    question, answer = chat.messages(PRINCIPAL, "s")
    assert (question.role, question.content) == ("user", FIRST)
    assert (answer.role, answer.content, answer.citations) == ("assistant", "하나 둘 셋", (CITATION,))
    assert (answer.mode, answer.trace_id) == ("generative", "t1")


def test_a_follow_up_question_is_rewritten_and_the_model_is_shown_the_turns_before(
    store: KeyValueStore, executor: ThreadPoolExecutor, tmp_path: Path
) -> None:
    ask = Answers()
    chat = conversations(store, ask, executor, tmp_path)
    asyncio.run(all_events(chat.start(PRINCIPAL, "s", FIRST)))
    events = asyncio.run(all_events(chat.start(PRINCIPAL, "s", "해외는요?")))
    assert events[0].event == "rewritten"
    assert events[0].data == {"question": "해외 출장 숙박비 한도는 얼마인가요?"}
    # A third question leans on what the second one meant.
    third = asyncio.run(all_events(chat.start(PRINCIPAL, "s", "식비는요?")))
    assert third[0].data == {"question": "해외 출장 식비 한도는 얼마인가요?"}
    assert [call[1] for call in ask.calls[1:]] == [events[0].data["question"], third[0].data["question"]]
    assert [message["content"] for message in ask.calls[1][2]] == [FIRST, "하나 둘 셋"]
    kept = chat.messages(PRINCIPAL, "s")[2]
    assert (kept.content, kept.standalone) == ("해외는요?", "해외 출장 숙박비 한도는 얼마인가요?")


def test_a_listener_that_leaves_half_way_gets_the_same_answer_later(
    store: KeyValueStore, executor: ThreadPoolExecutor, tmp_path: Path
) -> None:
    ask = Answers()
    ask.may_go_on.clear()
    chat = conversations(store, ask, executor, tmp_path)
    run = chat.start(PRINCIPAL, "s", FIRST)

    async def first_only() -> int:
        async for event in run.follow():
            return event.id
        raise AssertionError

    async def leave_and_come_back() -> tuple[str, str, str]:
        seen = await first_only()
        rest = asyncio.create_task(all_events(chat.resume(PRINCIPAL, "s"), seen))
        beside = asyncio.create_task(all_events(chat.resume(PRINCIPAL, "s")))
        await asyncio.sleep(0.05)
        ask.may_go_on.set()
        whole = await beside
        later = await all_events(chat.resume(PRINCIPAL, "s"), seen)
        return text_of(await rest), text_of(whole), text_of(later)

    rest, whole, later = asyncio.run(leave_and_come_back())
    assert whole == "하나 둘 셋"
    assert rest == later == "둘 셋"


def test_an_answer_nobody_listens_to_is_finished_and_kept(
    store: KeyValueStore, executor: ThreadPoolExecutor, tmp_path: Path
) -> None:
    chat = conversations(store, Answers(), executor, tmp_path)
    run = chat.start(PRINCIPAL, "s", FIRST)
    chat.close(drain_s=5)
    assert run.ended_at is not None
    assert len(chat.messages(PRINCIPAL, "s")) == 2


def test_a_second_question_meanwhile_is_refused_and_another_session_is_not(
    store: KeyValueStore, executor: ThreadPoolExecutor, tmp_path: Path
) -> None:
    ask = Answers()
    ask.may_go_on.clear()
    chat = conversations(store, ask, executor, tmp_path)
    run = chat.start(PRINCIPAL, "s", FIRST)
    with pytest.raises(ConflictError, match="still answering"):
        chat.start(PRINCIPAL, "s", "둘째 질문")
    other = chat.start(principal(subject="key:b"), "s", "남의 질문")
    ask.may_go_on.set()
    first = asyncio.run(all_events(run))
    assert asyncio.run(all_events(other))[-1].event == "finished"
    second = asyncio.run(all_events(chat.start(PRINCIPAL, "s", "출장 규정은 누가 만들었나요?")))
    assert second[0].id > first[-1].id


def test_a_resumed_answer_is_ones_own(store: KeyValueStore, executor: ThreadPoolExecutor, tmp_path: Path) -> None:
    chat = conversations(store, Answers(), executor, tmp_path)
    chat.start(PRINCIPAL, "s", FIRST)
    messages = []
    for owner, session in [(principal(subject="key:b"), "s"), (PRINCIPAL, "never")]:
        with pytest.raises(NotFoundError) as caught:
            chat.resume(owner, session)
        messages.append(caught.value.message)
    assert messages[0] == messages[1]


def test_deleting_a_session_stops_its_answer_and_leaves_nothing(
    store: KeyValueStore, executor: ThreadPoolExecutor, tmp_path: Path
) -> None:
    ask = Answers()
    ask.may_go_on.clear()
    chat = conversations(store, ask, executor, tmp_path)
    run = chat.start(PRINCIPAL, "s", FIRST)
    assert ask.half_way.wait(10)
    chat.clear(PRINCIPAL, "s")
    ask.may_go_on.set()
    executor.shutdown()
    assert "finished" not in [event.event for event in run.since(0)[0]]
    assert chat.messages(PRINCIPAL, "s") == []
    with pytest.raises(NotFoundError):
        chat.resume(PRINCIPAL, "s")


def test_personal_data_is_not_kept(store: KeyValueStore, executor: ThreadPoolExecutor, tmp_path: Path) -> None:
    ask = Answers()
    chat = conversations(store, ask, executor, tmp_path)
    asyncio.run(all_events(chat.start(PRINCIPAL, "s", "010-1234-5678은 누구 전화인가요?")))
    assert "010-1234-5678" in ask.calls[0][1]
    assert chat.messages(PRINCIPAL, "s")[0].content == "<PHONE>은 누구 전화인가요?"
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"010-1234-5678" not in stored


def test_a_dead_store_costs_the_history_and_not_the_answer(executor: ThreadPoolExecutor, tmp_path: Path) -> None:
    ask = Answers()
    chat = conversations(open_keyvalue("redis://127.0.0.1:1/0"), ask, executor, tmp_path)
    events = asyncio.run(all_events(chat.start(PRINCIPAL, "s", "해외는요?")))
    assert events[-1].data["text"] == "하나 둘 셋"
    assert [degradation["stage"] for degradation in events[-1].data["degradations"]] == ["history"]
    assert ask.calls[0][1:] == ("해외는요?", ())
    with pytest.raises(UpstreamError):
        chat.messages(PRINCIPAL, "s")


def test_an_llm_rewrites_and_what_it_cannot_do_is_done_by_rule_and_said(
    store: KeyValueStore, executor: ThreadPoolExecutor, tmp_path: Path
) -> None:
    by_llm = "해외 출장에서 하룻밤 숙박비의 한도는 얼마인가요?"
    with chat_server(scripted(by_llm), scripted("It is 260 dollars.")) as server:
        chat = conversations(store, Answers(), executor, tmp_path, LLMSettings(base_url=server.base_url))
        asyncio.run(all_events(chat.start(PRINCIPAL, "s", FIRST)))
        assert server.requests == []
        good = asyncio.run(all_events(chat.start(PRINCIPAL, "s", "해외는요?")))
        bad = asyncio.run(all_events(chat.start(PRINCIPAL, "s", "그건 누가 승인하나요?")))
        assert "하나 둘 셋" in server.requests[0]["messages"][1]["content"]
    assert good[0].data == {"question": by_llm}
    assert good[-1].data["degradations"] == ()
    assert bad[0].event == "rewritten"
    assert bad[0].data["question"].endswith("누가 승인하나요?")
    assert [degradation["stage"] for degradation in bad[-1].data["degradations"]] == ["rewrite"]


def failing(error: Exception) -> object:
    def ask(scope: Scope, question: str, history: Sequence[Message]) -> Iterator[AnswerEvent]:
        yield TextDelta("halb")
        raise error

    return ask


@pytest.mark.parametrize(
    ("error", "code"), [(UpstreamError("the vector store is gone"), "upstream"), (KeyError("secret"), "internal_error")]
)
def test_a_failing_answer_ends_with_an_error_that_shows_no_internals(
    store: KeyValueStore, executor: ThreadPoolExecutor, tmp_path: Path, error: Exception, code: str
) -> None:
    chat = conversations(store, failing(error), executor, tmp_path)  # type: ignore[arg-type]
    events = asyncio.run(all_events(chat.start(PRINCIPAL, "s", FIRST)))
    assert [event.event for event in events] == ["delta", "error"]
    assert events[-1].data["error"]["code"] == code
    assert "secret" not in str(events[-1].data)
    assert [message.role for message in chat.messages(PRINCIPAL, "s")] == ["user"]


@pytest.mark.parametrize("question", ["", "  \u200b ", "가" * 8001])
def test_a_question_outside_what_is_allowed_is_refused_at_once(
    store: KeyValueStore, executor: ThreadPoolExecutor, tmp_path: Path, question: str
) -> None:
    chat = conversations(store, Answers(), executor, tmp_path)
    with pytest.raises(InvalidInputError, match="allowed are 1 to 8,000"):
        chat.start(PRINCIPAL, "s", question)
    with pytest.raises(NotFoundError):
        chat.resume(PRINCIPAL, "s")


def test_when_the_server_stops_listeners_are_told(store: KeyValueStore, tmp_path: Path) -> None:
    ask = Answers()
    ask.may_go_on.clear()
    executor = ThreadPoolExecutor(1)
    chat = conversations(store, ask, executor, tmp_path)
    working = chat.start(PRINCIPAL, "one", FIRST)
    waiting = chat.start(PRINCIPAL, "two", FIRST)
    assert ask.half_way.wait(10)
    executor.shutdown(wait=False, cancel_futures=True)
    chat.close()
    ask.may_go_on.set()
    late = chat.start(PRINCIPAL, "three", FIRST)
    for run in (working, waiting, late):
        events, ended = run.since(0)
        assert ended
        assert events[-1].data["error"]["code"] == "overloaded"
    executor.shutdown()
    assert [message.role for message in chat.messages(PRINCIPAL, "one")] == ["user"]


def test_ended_runs_make_room_and_running_ones_do_not() -> None:
    running = Running(keep_s=60, most=2)
    first = running.begin("a")
    running.begin("b")
    with pytest.raises(OverloadedError):
        running.begin("c")
    first.end()
    running.begin("c")
    with pytest.raises(NotFoundError):
        running.get("a")
    assert len(running.under_way()) == 2


def test_ended_runs_are_dropped_after_their_time() -> None:
    running = Running(keep_s=0.05)
    run = running.begin("a")
    run.end()
    assert running.get("a") is run
    threading.Event().wait(0.1)
    with pytest.raises(LLMFlowError):
        running.get("a")
