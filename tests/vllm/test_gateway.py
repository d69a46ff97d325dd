"""The server in front of a real vLLM: its models listed, called and counted for as vLLM itself does."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from vllm_server import BASE, VllmServer

sys.path.append(str(Path(__file__).parents[1] / "server"))
from served import serving

from llmflow.runtime import Runtime
from llmflow.schema import Role
from llmflow.server.app import create_app
from llmflow.settings import Settings

MESSAGES = [{"role": "user", "content": "연차휴가는 며칠까지 이월되나요?"}]
CITIES = ["서울", "부산"]
SCHEMA = {"type": "object", "properties": {"city": {"enum": CITIES}}, "required": ["city"]}


@pytest.fixture(scope="module")
def gateway(vllm_server: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of an LLMFlow server whose LLM endpoint is vLLM."""
    settings = Settings.model_validate({
        "data_dir": tmp_path_factory.mktemp("gateway"), "llm": {"base_url": f"{vllm_server.url}/v1", "timeout_s": 120}
    })  # fmt: skip
    with Runtime(settings) as runtime, serving(create_app(runtime)) as url:
        key = runtime.keys.create("acme", ("hr",), Role.READER)[0]
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=180) as client:
            yield client


def post(client: httpx.Client, path: str, **body: Any) -> Any:
    response = client.post(path, json={"model": BASE, **body})
    assert response.status_code == 200, response.text
    return response.json()


def complete(client: httpx.Client, **more: Any) -> Any:
    return post(client, "/v1/chat/completions", messages=MESSAGES, temperature=0, **more)


def test_an_adapter_is_listed_while_it_is_loaded(vllm: VllmServer, gateway: httpx.Client) -> None:
    def listed() -> dict[str, dict[str, Any]]:
        body = gateway.get("/v1/models").json()
        assert body["llmflow"]["degradations"] == []
        return {each["id"]: each for each in body["data"]}

    before = listed()
    assert (before[BASE]["kind"], before[BASE]["parent"], before[BASE]["max_model_len"]) == ("student", None, 8192)
    name = vllm.load("rerank", "rerank-next")
    found = listed()[name]
    assert (found["kind"], found["parent"], found["max_model_len"]) == ("adapter", BASE, 8192)
    adapted, plain = (complete(gateway, model=model, max_tokens=8)["choices"][0] for model in (name, BASE))
    assert adapted["message"]["content"] != plain["message"]["content"]
    vllm.unload(name)
    assert name not in listed()
    refused = gateway.post("/v1/chat/completions", json={"model": name, "messages": MESSAGES})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_found")
    assert BASE in refused.json()["error"]["message"]


@pytest.fixture(scope="module")
def marks(vllm_server: VllmServer) -> dict[str, int]:
    """A bias to JSON's marks: the model is random and would go on with white space for ever."""
    answers = [httpx.post(f"{vllm_server.url}/tokenize", json={"model": BASE, "prompt": mark}) for mark in '{}":']
    return {str(token): 100 for answer in answers for token in answer.json()["tokens"]}


def test_an_answer_follows_the_callers_schema(vllm: VllmServer, gateway: httpx.Client, marks: dict[str, int]) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
    answer = complete(gateway, response_format=form, max_tokens=64, logit_bias=marks)
    assert json.loads(answer["choices"][0]["message"]["content"])["city"] in CITIES


def test_a_named_tool_is_called(vllm: VllmServer, gateway: httpx.Client, marks: dict[str, int]) -> None:
    tool = {"type": "function", "function": {"name": "look_up", "parameters": SCHEMA, "strict": True}}
    choice = {"type": "function", "function": {"name": "look_up"}}
    answer = complete(gateway, tools=[tool], tool_choice=choice, max_tokens=128, logit_bias=marks)
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "look_up"
    assert json.loads(call["function"]["arguments"])["city"] in CITIES


def test_a_stream_says_what_the_whole_answer_says(vllm: VllmServer, gateway: httpx.Client) -> None:
    whole = complete(gateway, max_tokens=24)
    direct = httpx.post(
        f"{vllm.url}/v1/chat/completions",
        json={"model": BASE, "messages": MESSAGES, "temperature": 0, "max_tokens": 24},
        timeout=120,
    ).json()
    body = {"model": BASE, "messages": MESSAGES, "temperature": 0, "max_tokens": 24}
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    text, usage, data = "", None, []
    with gateway.stream("POST", "/v1/chat/completions", json=body) as response:
        data = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
    assert data.pop() == "[DONE]"
    for chunk in map(json.loads, data):
        text += "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
        usage = chunk.get("usage") or usage
    assert len(data) > 10
    assert text == whole["choices"][0]["message"]["content"] == direct["choices"][0]["message"]["content"]
    assert usage == {"prompt_tokens": whole["usage"]["prompt_tokens"], "completion_tokens": 24} | {
        "total_tokens": whole["usage"]["prompt_tokens"] + 24
    }


def test_tokens_are_counted_as_the_model_reads_them(vllm: VllmServer, gateway: httpx.Client) -> None:
    chat = post(gateway, "/v1/tokenize", messages=MESSAGES)
    used = complete(gateway, max_tokens=1)["usage"]["prompt_tokens"]
    assert chat == {"model": BASE, "count": used, "max_model_len": 8192, "exact": True}
    prompt = {"model": BASE, "prompt": MESSAGES[0]["content"]}
    direct = httpx.post(f"{vllm.url}/tokenize", json=prompt).json()
    assert post(gateway, "/v1/tokenize", prompt=MESSAGES[0]["content"])["count"] == direct["count"] < used


def test_what_vllm_refuses_is_told_in_its_words(vllm: VllmServer, gateway: httpx.Client) -> None:
    body = {"model": BASE, "messages": MESSAGES, "temperature": -3}
    direct = httpx.post(f"{vllm.url}/v1/chat/completions", json=body)
    response = gateway.post("/v1/chat/completions", json=body)
    error = response.json()["error"]
    assert (direct.status_code, response.status_code, error["code"]) == (400, 422, "invalid_input")
    assert direct.json()["error"]["message"] in error["message"]
