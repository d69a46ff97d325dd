"""Answers from documents as a chat model of Dify."""

from __future__ import annotations

import pytest
from conftest import StartPlugin
from llmflow_server import LLMFlowServer
from model_calls import ModelCalls, said

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
    assert sources.startswith("[1] 재택근무규정.md")
    assert streamed.finish_reason == "stop"
    assert streamed.usage["prompt_tokens"] > 0
    assert streamed.usage["completion_tokens"] > 0
    whole = calls.ask("llmflow", QUESTION, stream=False)
    assert whole.text == streamed.text


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
    assert "도구를 부르지 못합니다" in caught.value.message


def test_tokens_are_counted(calls: ModelCalls) -> None:
    assert 5 < calls.tokens("llmflow", [said("user", QUESTION)]) < 40
