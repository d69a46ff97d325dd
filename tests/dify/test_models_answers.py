"""Answers from documents as a chat model of Dify."""

from __future__ import annotations

from typing import Any

import pytest
from chat_server import event
from environments import StartPlugin
from llmflow_server import LLMFlowServer
from model_calls import ModelCalls, said
from model_endpoint import ScriptedEndpoint, streamed

from dify_plugins.tooling.daemon import PluginError, Transport

QUESTION = "재택근무는 일주일에 며칠까지 할 수 있나요?"
TOOL = {"name": "days_left", "description": "남은 연차", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture
def calls(start_plugin: StartPlugin, server: LLMFlowServer, python: str) -> ModelCalls:
    """The plugin in each environment."""
    return ModelCalls(start_plugin("llmflow_models", python), server.credentials("reader"))


def test_the_sources_follow_the_answer(
    start_plugin: StartPlugin, server: LLMFlowServer, python: str, transport: Transport
) -> None:
    calls = ModelCalls(start_plugin("llmflow_models", python, transport), server.credentials("reader"))
    streamed = calls.ask("llmflow", QUESTION)
    text, sources = streamed.text.split("\n\n출처\n")
    assert "[1]" in text
    lines = sources.splitlines()
    assert lines[0] == "[1] 재택근무규정.md"
    assert len(set(lines)) == len(lines)
    assert streamed.finish_reason == "stop"
    assert streamed.usage["prompt_tokens"] > 0
    assert streamed.usage["completion_tokens"] > 0
    whole = calls.ask("llmflow", QUESTION, stream=False)
    assert whole.text == streamed.text


def test_what_is_void_or_without_evidence_is_said(start_plugin: StartPlugin, python: str) -> None:
    def chunk(more: dict[str, Any] | None = None, finish: str | None = None, **said: Any) -> bytes:
        choice = {"index": 0, "delta": said, "finish_reason": finish}
        return event({"choices": [choice], **({"llmflow": more} if more else {})})

    cited = [{"number": number, "document_name": "휴가규정.pdf", "page": 2} for number in (1, 1)]
    known = {"degradations": [{"stage": "llm", "reason": "away"}] * 2, "unsupported": ["열흘입니다."]}
    with ScriptedEndpoint().running() as endpoint:
        endpoint.reply = streamed(
            chunk(content="열흘"),
            chunk({"discarded": "it broke off"}, content="\n\n"),
            chunk(content="5일입니다. [1]"),
            chunk(known, "stop", citations=cited),
        )
        credentials = {"base_url": endpoint.url, "api_key": "llmflow_key", "language": "en"}
        answer = ModelCalls(start_plugin("llmflow_models", python), credentials).ask("llmflow", QUESTION)
    before, after = answer.text.split("is void. Here is the answer anew.)\n\n")
    assert before.startswith("열흘\n\n(")
    text, sources, degraded, unsupported = after.split("\n\n")
    assert text == "5일입니다. [1]"
    assert sources == "Sources\n[1] 휴가규정.pdf, page 2"
    assert degraded.endswith(": llm")
    assert "1 of the sentences" in unsupported


def test_a_follow_up_knows_what_was_said(calls: ModelCalls) -> None:
    first = calls.ask("llmflow", QUESTION).text
    said_before = [said("user", QUESTION), said("assistant", first), said("user", "누가 승인하나요?")]
    assert calls.ask("llmflow", said_before).text.strip()


def test_settings_that_mean_nothing_are_left_out(calls: ModelCalls) -> None:
    assert calls.schema("llmflow")["parameter_rules"] == []
    assert calls.ask("llmflow", QUESTION, {"temperature": 0.5, "max_tokens": 5}).text


def test_it_calls_no_tools_and_says_so(calls: ModelCalls) -> None:
    assert not calls.schema("llmflow")["features"]
    with pytest.raises(PluginError) as caught:
        calls.ask("llmflow", QUESTION, tools=[TOOL])
    assert caught.value.kind == "InvokeBadRequestError"
    assert "도구를 호출하지 못합니다" in caught.value.message


def test_tokens_are_counted(calls: ModelCalls) -> None:
    assert 5 < calls.tokens("llmflow", [said("user", QUESTION)]) < 40
