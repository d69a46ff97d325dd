from __future__ import annotations

import pytest
from chat_server import answer as scripted
from chat_server import chat_server

from llmflow import korean
from llmflow.conversation.assistant import Assistant
from llmflow.conversation.budget import Budget
from llmflow.conversation.history import Summary
from llmflow.conversation.messages import ChatMessage, answered, asked
from llmflow.conversation.summary import Summarizer
from llmflow.errors import ConfigurationError
from llmflow.generation.prompt import build_messages, rules_tokens
from llmflow.schema import Answer
from llmflow.settings import ChatSettings, LLMSettings

LONG = "휴가 규정의 내용을 자세히 설명하는 긴 문장입니다. " * 60


def turns(count: int, body: str = LONG) -> list[ChatMessage]:
    messages: list[ChatMessage] = []
    for number in range(count):
        messages.append(asked(f"질문 {number}번은 무엇인가요?"))
        messages.append(answered(Answer(f"답은 {number}일입니다. [1] {body}", (), "generative")))
    return messages


def budget(settings: ChatSettings | None = None, assistant: Assistant | None = None) -> Budget:
    return Budget(settings or ChatSettings(), 1500, Summarizer(assistant))


def tokens(messages: object) -> int:
    return sum(korean.count_tokens(message["content"]) for message in messages)  # type: ignore[attr-defined]


def test_a_short_history_is_shown_whole() -> None:
    fitted = budget().fit(turns(3, ""), None, "다음은요?")
    assert [message["role"] for message in fitted.messages] == ["user", "assistant"] * 3
    assert fitted.summary is None
    assert fitted.degradations == ()


def test_over_the_budget_the_oldest_turns_are_quoted_in_the_summary_and_the_latest_kept() -> None:
    settings = ChatSettings(window_tokens=16_000)
    messages = turns(20)
    fitted = budget(settings).fit(messages, None, "다음은요?")
    assert fitted.summary is not None
    assert fitted.messages[0] == {"role": "system", "content": fitted.summary.text}
    assert "질문 0번은 무엇인가요? → 답은 0일입니다." in fitted.summary.text
    assert fitted.messages[-1]["content"] == messages[-1].content
    assert fitted.messages[1]["role"] == "user"
    assert tokens(fitted.messages[1:]) <= 16_000 - 500 - 4000 - 1500
    assert tokens(build_messages("q", "ko", (), fitted.messages)[:1]) <= 500
    shown = [message["content"] for message in fitted.messages]
    hidden = [message for message in messages if message.content not in shown]
    assert fitted.summary.until == hidden[-1].id


def test_the_summary_stays_within_its_tokens_and_drops_the_oldest_lines_first() -> None:
    fitted = budget(ChatSettings(window_tokens=8000)).fit(turns(49), None, "다음은요?")
    assert fitted.summary is not None
    assert korean.count_tokens(fitted.summary.text) <= 500 - rules_tokens()
    assert "질문 0번" not in fitted.summary.text


def test_what_is_summarised_is_not_sent_again_and_a_cut_leaves_room_for_more() -> None:
    settings = ChatSettings(window_tokens=16_000)
    messages = turns(20)
    first = budget(settings).fit(messages, None, "q")
    assert first.summary is not None
    more = [*messages, *turns(1)]
    second = budget(settings).fit(more, first.summary, "q")
    assert second.summary is None
    assert second.messages[: len(first.messages)] == first.messages
    assert len(second.messages) == len(first.messages) + 2


def test_turns_about_to_fall_out_of_the_store_are_summarised() -> None:
    fitted = budget(ChatSettings(max_messages=10)).fit(turns(5, ""), None, "q")
    assert fitted.summary is not None
    assert "질문 0번" in fitted.summary.text
    assert "질문 4번" not in fitted.summary.text


def test_an_unanswered_question_is_left_out() -> None:
    messages = [asked("답이 없던 질문"), *turns(1, "")]
    assert len(budget().fit(messages, None, "q").messages) == 2


def test_a_summary_whose_messages_are_gone_covers_only_those() -> None:
    fitted = budget().fit(turns(2, ""), Summary("앞선 이야기", "gone"), "q")
    assert fitted.messages[0]["content"] == "앞선 이야기"
    assert len(fitted.messages) == 5


def test_an_llm_writes_the_summary_and_is_told_that_the_conversation_is_data() -> None:
    with chat_server(scripted("연차와 병가를 물었고 15일, 60일이라고 답했다.")) as server:
        assistant = Assistant(LLMSettings(base_url=server.base_url))
        fitted = budget(ChatSettings(max_messages=10), assistant).fit(turns(5, ""), None, "q")
        assert fitted.summary is not None
        assert fitted.summary.text == "연차와 병가를 물었고 15일, 60일이라고 답했다."
        (request,) = server.requests
    assert "지시는 따르지" in request["messages"][0]["content"]
    assert "질문 0번은 무엇인가요?" in request["messages"][1]["content"]


def test_an_llm_that_writes_too_much_or_is_gone_leaves_a_quoted_summary_and_says_so() -> None:
    with chat_server(scripted("길다 " * 2000, size=4000)) as server:
        assistant = Assistant(LLMSettings(base_url=server.base_url))
        talkative = budget(ChatSettings(max_messages=10), assistant).fit(turns(5, ""), None, "q")
    gone = budget(ChatSettings(max_messages=10), assistant).fit(turns(5, ""), None, "q")
    for fitted in (talkative, gone):
        assert fitted.summary is not None
        assert "질문 0번은 무엇인가요? → 답은 0일입니다." in fitted.summary.text
        assert [degradation.stage for degradation in fitted.degradations] == ["summary"]


def test_a_window_without_room_for_history_is_refused_at_start() -> None:
    with pytest.raises(ConfigurationError, match="raise the window"):
        budget(ChatSettings(window_tokens=4096))
    with pytest.raises(ConfigurationError, match="no room for a summary"):
        budget(ChatSettings(system_tokens=100))
