"""The student and its adapters through the plugin, a real server and a scripted endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from chat_server import Reply, event, piece
from environments import StartPlugin
from llmflow_server import LLMFlowServer
from model_calls import ModelCalls, bare_server, said
from model_endpoint import TOKENS, USAGE, WINDOW, ScriptedEndpoint, called, delta, served, streamed, whole

from dify_plugins.tooling.daemon import PluginError, Transport

TOOL = {
    "name": "days_left",
    "description": "남은 연차",
    "parameters": {"type": "object", "properties": {"name": {"type": "string"}}},
}
SCHEMA = {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]}
ANSWER = '{"days": 15}'


@pytest.fixture(scope="module")
def shared_endpoint() -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint().running() as endpoint:
        yield endpoint


@pytest.fixture
def endpoint(shared_endpoint: ScriptedEndpoint) -> ScriptedEndpoint:
    """The endpoint, at its beginning."""
    shared_endpoint.models = [served("student"), served("hr", "student")]
    shared_endpoint.reply = None
    shared_endpoint.replies.clear()
    shared_endpoint.requests.clear()
    return shared_endpoint


@pytest.fixture(scope="module")
def llm_server(shared_endpoint: ScriptedEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LLMFlowServer]:
    """A server without documents, before that endpoint."""
    settings = {"LLM__BASE_URL": f"{shared_endpoint.url}/v1", "LLM__MODEL": "student", "LLM__BREAKER_FAILURES": "1000"}
    with bare_server(tmp_path_factory.mktemp("llm"), **settings) as running:
        yield running


@pytest.fixture
def calls(start_plugin: StartPlugin, llm_server: LLMFlowServer, endpoint: ScriptedEndpoint, python: str) -> ModelCalls:
    """The plugin in each environment."""
    return ModelCalls(start_plugin("llmflow_models", python), llm_server.credentials("reader"))


@pytest.fixture
def newest(start_plugin: StartPlugin, llm_server: LLMFlowServer, endpoint: ScriptedEndpoint) -> ModelCalls:
    """The plugin in the newest environment, for what is the plugin's own work alone."""
    return ModelCalls(start_plugin("llmflow_models"), llm_server.credentials("reader"))


def refusal(calls: ModelCalls, kind: str, *words: object, **more: object) -> str:
    """The message of the error that asking the student gives."""
    with pytest.raises(PluginError) as caught:
        calls.ask("student", *(words or ("연차?",)), **more)  # type: ignore[arg-type]
    assert caught.value.kind == kind
    assert "Traceback" not in caught.value.message
    return caught.value.message


def test_streams_korean(
    start_plugin: StartPlugin,
    llm_server: LLMFlowServer,
    endpoint: ScriptedEndpoint,
    python: str,
    transport: Transport,
) -> None:
    calls = ModelCalls(start_plugin("llmflow_models", python, transport), llm_server.credentials("reader"))
    pieces = (piece("연차는 "), piece("열다섯\u2028날"), b": ping\r\n\r\n", piece("입니다."), piece(None, "stop"))
    content = b"".join(streamed(*pieces).parts)
    endpoint.replies.append(Reply([content[at : at + 1] for at in range(len(content))]))
    answer = calls.ask("hr", "연차가 며칠인가요?", {"temperature": 0.2, "max_tokens": 100, "seed": 7}, stop=["끝"])
    assert answer.text == "연차는 열다섯\u2028날입니다."
    assert answer.pieces == 4
    assert answer.finish_reason == "stop"
    assert answer.usage["prompt_tokens"] == USAGE["prompt_tokens"]
    assert answer.usage["completion_tokens"] == USAGE["completion_tokens"]
    assert answer.usage["latency"] > 0
    (request,) = endpoint.requests
    assert request == {
        "model": "hr",
        "messages": [{"role": "user", "content": "연차가 며칠인가요?"}],
        "temperature": 0.2,
        "max_tokens": 100,
        "seed": 7,
        "stop": ["끝"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_characters_may_come_in_pieces(
    start_plugin: StartPlugin, llm_server: LLMFlowServer, endpoint: ScriptedEndpoint, python: str
) -> None:
    content = b"".join(streamed(piece("연차는 열다섯\u2028날"), piece("입니다.", "stop")).parts)
    endpoint.replies.append(Reply([content[at : at + 4] for at in range(0, len(content), 4)], pause_s=0.005))
    straight = {**llm_server.credentials("reader"), "base_url": endpoint.url}  # the server sends whole events
    calls = ModelCalls(start_plugin("llmflow_models", python), straight)
    assert calls.ask("student", "연차?").text == "연차는 열다섯\u2028날입니다."


def test_answers_in_one_piece(calls: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    endpoint.replies.append(whole(content="열다섯 날입니다."))
    answer = calls.ask("student", "연차?", stream=False)
    assert (answer.text, answer.pieces) == ("열다섯 날입니다.", 1)
    assert answer.usage["total_tokens"] == USAGE["total_tokens"]
    assert endpoint.requests[0].get("stream") in (None, False)


def test_sends_a_whole_conversation_with_tools(calls: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    endpoint.replies.append(streamed(piece("12일입니다.", "stop")))
    call = {"id": "c1", "type": "function", "function": {"name": "days_left", "arguments": '{"name": "김"}'}}
    prompt = [
        said("system", "짧게 답하십시오."),
        said("user", [{"type": "text", "data": "김 대리는"}, {"type": "text", "data": "며칠 남았나요?"}]),
        said("assistant", "", tool_calls=[call]),
        said("tool", "12", tool_call_id="c1", name="days_left"),
    ]
    assert calls.ask("student", prompt, tools=[TOOL]).text == "12일입니다."
    (request,) = endpoint.requests
    assert request["messages"] == [
        {"role": "system", "content": "짧게 답하십시오."},
        {"role": "user", "content": "김 대리는\n며칠 남았나요?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "12", "tool_call_id": "c1"},
    ]
    assert request["tools"] == [{"type": "function", "function": TOOL}]
    assert request["tool_choice"] == "auto"


def test_puts_parallel_tool_calls_together(calls: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    endpoint.replies.append(
        streamed(
            called(0, "", "a", "days_left"),
            called(1, "", "b", "days_left"),
            called(0, '{"name":'),
            called(1, '{"name": "이"}'),
            called(0, ' "김"}'),
            delta("tool_calls"),
        )
    )
    answer = calls.ask("student", "두 사람의 연차?", tools=[TOOL])
    assert answer.calls == [("a", "days_left", '{"name": "김"}'), ("b", "days_left", '{"name": "이"}')]
    assert answer.finish_reason == "tool_calls"


@pytest.mark.parametrize("index", [0, None])
def test_another_id_and_name_begin_another_tool_call(
    newest: ModelCalls, endpoint: ScriptedEndpoint, index: int | None
) -> None:
    endpoint.replies.append(
        streamed(
            called(index, '{"name":', "a", "days_left"),
            called(index, ' "김"}', "a-2"),
            called(index, '{"name":', "b", "days_left"),
            called(index, ' "이"}'),
            delta("tool_calls"),
        )
    )
    answer = newest.ask("student", "두 사람의 연차?", tools=[TOOL])
    assert answer.calls == [("a", "days_left", '{"name": "김"}'), ("b", "days_left", '{"name": "이"}')]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("required", "required"),
        ("none", "none"),
        ("days_left", {"type": "function", "function": {"name": "days_left"}}),
    ],
)
def test_a_tool_may_be_required(
    newest: ModelCalls, endpoint: ScriptedEndpoint, choice: str, sent: str | dict[str, object]
) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "days_left", "arguments": "{}"}}
    endpoint.replies.append(whole("tool_calls", content=None, tool_calls=[call]))
    answer = newest.ask("student", "연차?", {"tool_choice": choice}, tools=[TOOL], stream=False)
    assert (answer.text, answer.calls) == ("", [("a", "days_left", "{}")])
    assert endpoint.requests[0]["tool_choice"] == sent


@pytest.mark.parametrize("schema", [SCHEMA, {"schema": SCHEMA, "name": "llm_response"}])
def test_structured_output(calls: ModelCalls, endpoint: ScriptedEndpoint, schema: dict[str, object]) -> None:
    endpoint.replies.append(streamed(piece(ANSWER, "stop")))
    parameters = {"response_format": "json_schema", "json_schema": json.dumps(schema)}
    assert json.loads(calls.ask("student", "연차?", parameters).text) == {"days": 15}
    sent = endpoint.requests[0]["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["schema"] == SCHEMA
    assert sent["json_schema"]["name"] == schema.get("name", "answer")
    assert "json_schema" not in endpoint.requests[0]


def test_a_schema_alone_is_enough_and_other_formats_need_none(newest: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    endpoint.replies += [streamed(piece(ANSWER, "stop")), streamed(piece(ANSWER, "stop"))]
    newest.ask("student", "연차?", {"json_schema": json.dumps(SCHEMA)})
    newest.ask("student", "연차?", {"response_format": "json_object"})
    forms = [request["response_format"]["type"] for request in endpoint.requests]
    assert forms == ["json_schema", "json_object"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"response_format": "json_schema"}, "비어 있습니다"),
        ({"response_format": "json_schema", "json_schema": "{broken"}, "올바른 JSON이 아닙니다"),
        ({"response_format": "json_schema", "json_schema": "[1]"}, "올바른 JSON이 아닙니다"),
        ({"response_format": "text", "json_schema": "{}"}, "json_schema로 바꾸거나"),
        ({"temperature": 9}, "temperature"),
        ({"max_tokens": "많이"}, "max_tokens"),
    ],
)
def test_a_wrong_parameter_is_named(calls: ModelCalls, parameters: dict[str, object], words: str) -> None:
    assert words in refusal(calls, "InvokeBadRequestError", "연차?", parameters)


def test_thoughts_are_between_tags(calls: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    endpoint.replies += [
        streamed(delta(reasoning="먼저 "), delta(reasoning="규정을", content="열다섯"), piece(" 날", "stop")),
        streamed(delta(reasoning_content="도구를"), called(0, "{}", "a", "days_left"), delta("tool_calls")),
        streamed(delta("length", reasoning="끝나지 않는")),
        whole(reasoning="먼저", content="열다섯 날"),
    ]
    assert calls.ask("student", "연차?", {"enable_thinking": True}).text == "<think>\n먼저 규정을\n</think>열다섯 날"
    assert endpoint.requests[0]["chat_template_kwargs"] == {"enable_thinking": True}
    with_tool = calls.ask("student", "연차?", tools=[TOOL])
    assert (with_tool.text, with_tool.calls) == ("<think>\n도구를\n</think>", [("a", "days_left", "{}")])
    cut = calls.ask("student", "연차?")
    assert (cut.text, cut.finish_reason) == ("<think>\n끝나지 않는\n</think>", "length")
    assert calls.ask("student", "연차?", stream=False).text == "<think>\n먼저\n</think>열다섯 날"


def test_pictures_are_refused(calls: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    picture = {"type": "image", "format": "png", "mime_type": "image/png", "base64_data": "aGk=", "url": ""}
    prompt = [said("user", [{"type": "text", "data": "이 그림은?"}, picture])]
    message = refusal(calls, "InvokeBadRequestError", prompt)
    assert "image" in message
    assert "글만" in message
    assert not endpoint.requests


def test_tokens_are_the_models_own(calls: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    assert calls.tokens("hr", [said("user", "연차?")], tools=[TOOL]) == TOKENS
    assert endpoint.counted[-1] == {
        "model": "hr",
        "messages": [{"role": "user", "content": "연차?"}],
        "tools": [{"type": "function", "function": TOOL}],
    }
    endpoint.models = []
    prompt = [said("user", "연차 며칠인가요?")]
    estimate = calls.tokens("gone", prompt)
    assert 0 < estimate < 50


def test_an_adapter_can_be_used_as_soon_as_it_is_loaded(calls: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    with pytest.raises(PluginError) as caught:
        calls.validate("it@2")
    assert caught.value.kind == "CredentialsValidateFailedError"
    assert "'it@2'" in caught.value.message
    assert "llmflow, student, hr" in caught.value.message

    endpoint.models.append(served("it@2", "student"))
    calls.validate("it@2")
    schema = calls.schema("it@2")
    assert schema["model_properties"] == {"mode": "chat", "context_size": WINDOW}
    assert schema["fetch_from"] == "customizable-model"
    assert {"tool-call", "multi-tool-call", "stream-tool-call", "structured-output", "agent-thought"} == set(
        schema["features"]
    )
    rules = {rule["name"]: rule for rule in schema["parameter_rules"]}
    assert {"temperature", "top_p", "max_tokens", "frequency_penalty", "presence_penalty", "seed"} < set(rules)
    assert rules["max_tokens"]["max"] == WINDOW
    assert (rules["frequency_penalty"]["min"], rules["temperature"]["max"]) == (-2, 2)
    assert rules["response_format"]["options"] == ["text", "json_object", "json_schema"]
    assert rules["json_schema"]["type"] == "text"
    endpoint.replies.append(streamed(piece("예.", "stop")))
    assert calls.ask("it@2", "연차?").text == "예."

    endpoint.models.pop()
    with pytest.raises(PluginError) as caught:
        calls.schema("it@2")
    assert caught.value.kind == "InvokeBadRequestError"
    assert "llmflow, student, hr" in caught.value.message


def test_a_model_that_was_unloaded_is_told_with_those_that_are_served(
    newest: ModelCalls, endpoint: ScriptedEndpoint
) -> None:
    with pytest.raises(PluginError) as caught:
        newest.ask("never-loaded", "연차?")
    assert caught.value.kind == "InvokeBadRequestError"
    assert "지금 쓸 수 있는 모델: llmflow, student, hr" in caught.value.message


def test_a_window_that_nobody_tells_is_left_out(newest: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    endpoint.models = [{"id": "other", "object": "model", "created": 1, "owned_by": "somebody"}]
    schema = newest.schema("other")
    assert schema["model_properties"] == {"mode": "chat"}
    (rule,) = [rule for rule in schema["parameter_rules"] if rule["name"] == "max_tokens"]
    assert rule["max"] is None


def test_an_endpoint_that_is_away_is_the_reason(newest: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    endpoint.reply = Reply([b"{}"], 500, {"Content-Type": "application/json"})
    with pytest.raises(PluginError) as caught:
        newest.validate("hr")
    assert "지금 쓸 수 있는 모델: llmflow" in caught.value.message
    assert "500" in caught.value.message
    assert "5초 뒤에 다시 시도" in refusal(newest, "InvokeServerUnavailableError")


def test_errors_inside_a_stream_keep_their_kind(calls: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    refused = event({"error": {"message": "너무 깁니다", "type": "BadRequestError", "param": None, "code": 400}})
    endpoint.replies.append(Reply([piece("연차는 "), refused, event(b"[DONE]")]))
    assert "너무 깁니다" in refusal(calls, "InvokeBadRequestError")
    endpoint.replies.append(Reply([piece("연차는 ")]))
    assert "잠시 뒤" in refusal(calls, "InvokeServerUnavailableError")


def test_a_refusal_of_the_endpoint_is_told_in_its_words(newest: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    body = json.dumps({"error": {"message": "max_tokens is too large", "param": "max_tokens", "code": 400}}).encode()
    endpoint.replies.append(Reply([body], 400, {"Content-Type": "application/json"}))
    assert "max_tokens is too large" in refusal(newest, "InvokeBadRequestError")


def test_fifty_users_at_once(newest: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    users = 50
    endpoint.replies.extend(
        streamed(*(piece(part) for part in "가나다라"), piece(None, "stop"), pause_s=0.2) for _ in range(users)
    )
    before = len(newest.plugin.heartbeats)
    with ThreadPoolExecutor(users) as pool:
        answers = list(pool.map(lambda number: newest.ask("student", f"질문 {number}"), range(users)))
    assert [answer.text for answer in answers] == ["가나다라"] * users
    assert len(endpoint.requests) == users
    assert len(newest.plugin.heartbeats) > before
