"""What a user of Dify reads when the server is away, slow, refuses or is none at all."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from chat_server import Reply, event, piece
from environments import StartPlugin
from llmflow_server import LLMFlowServer
from model_calls import ModelCalls, said
from model_endpoint import ScriptedEndpoint, as_json, delta, streamed, whole

from dify_plugins.tooling.daemon import MAX_LINE, PluginError

HTML = Reply([b"<html>hello</html>"], 200, {"Content-Type": "text/html"})


@pytest.fixture
def endpoint() -> Iterator[ScriptedEndpoint]:
    """In the place of a server."""
    with ScriptedEndpoint().running() as running:
        yield running


@pytest.fixture
def calls(start_plugin: StartPlugin, endpoint: ScriptedEndpoint, python: str) -> ModelCalls:
    """The plugin in each environment, before that endpoint."""
    credentials = {"base_url": endpoint.url, "api_key": "llmflow_key", "language": "ko", "timeout_s": "2"}
    return ModelCalls(start_plugin("llmflow_models", python), credentials)


def in_english(calls: ModelCalls) -> ModelCalls:
    return replace(calls, credentials={**calls.credentials, "language": "en"})


def all_errors(calls: ModelCalls) -> list[PluginError]:
    """The error of each call a user makes; all are made at once."""
    attempts: list[Callable[[], object]] = [
        lambda: calls.ask("student", "연차?"),
        lambda: calls.ask("student", "연차?", stream=False),
        lambda: calls.embed(["연차"]),
        lambda: calls.rerank("연차", ["출장", "연차"]),
        lambda: calls.schema("student"),
    ]

    def error(attempt: Callable[[], object]) -> PluginError:
        with pytest.raises(PluginError) as caught:
            attempt()
        return caught.value

    with ThreadPoolExecutor(len(attempts)) as pool:
        return list(pool.map(error, attempts))


def told(status: int, code: str, message: str = "words of the server", **headers: str) -> Reply:
    """An error in the server's form."""
    error: dict[str, Any] = {"code": code, "message": message, "type": "Error", "param": None, "details": {}}
    return as_json({"error": error, "request_id": "r-42"}, status, **headers)


@pytest.mark.parametrize(
    ("reply", "kind", "korean", "english"),
    [
        (told(401, "unauthenticated"), "InvokeAuthorizationError", "키를 받아", "Ask your administrator for a key"),
        (told(403, "forbidden"), "InvokeAuthorizationError", "역할과 부서", "words of the server"),
        (told(429, "rate_limited", **{"Retry-After": "7"}), "InvokeRateLimitError", "7초 뒤에", "in 7 seconds"),
        (told(429, "rate_limited"), "InvokeRateLimitError", "잠시 뒤", "a little later"),
        (told(500, "internal_error"), "InvokeServerUnavailableError", "요청 번호 r-42", "request number r-42"),
        (told(503, "overloaded"), "InvokeServerUnavailableError", "지금은 처리할 수 없습니다", "words of the server"),
        (told(422, "invalid_input"), "InvokeBadRequestError", "받아들이지 않았습니다", "words of the server"),
        (told(413, "too_large"), "InvokeBadRequestError", "받아들이지 않았습니다", "words of the server"),
        (told(404, "not_found"), "InvokeConnectionError", "base_url", "no LLMFlow server"),
        (as_json({"detail": "Not Found"}, 404), "InvokeConnectionError", "base_url", "no LLMFlow server"),
        (as_json(b"", 302, Location="/login"), "InvokeConnectionError", "base_url", "no LLMFlow server"),
        (as_json(b"Bad Gateway", 502), "InvokeConnectionError", "base_url", "no LLMFlow server"),
    ],
)
def test_each_refusal_is_of_a_kind_dify_knows_and_says_what_to_do(
    calls: ModelCalls, endpoint: ScriptedEndpoint, reply: Reply, kind: str, korean: str, english: str
) -> None:
    endpoint.reply = reply
    for language, words in (("ko", korean), ("en", english)):
        for error in all_errors(calls if language == "ko" else in_english(calls)):
            assert error.kind == kind
            assert words in error.message
            assert "Traceback" not in error.message
            assert error.args_sent["description"] == error.message


@pytest.mark.parametrize("reply", [HTML, as_json({}), as_json([]), as_json({"status": "ok"})])
def test_what_another_server_says_is_no_answer(calls: ModelCalls, endpoint: ScriptedEndpoint, reply: Reply) -> None:
    endpoint.reply = reply
    assert {error.kind for error in all_errors(calls)} == {"InvokeConnectionError"}


def test_nobody_listens(calls: ModelCalls) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    away = replace(calls, credentials={**calls.credentials, "base_url": f"http://127.0.0.1:{port}"})
    for error in all_errors(away):
        assert error.kind == "InvokeConnectionError"
        assert "연결할 수 없습니다" in error.message
    assert away.tokens("student", [said("user", "연차는 며칠인가요?")]) > 0


def test_a_server_that_is_silent_is_given_up_after_the_timeout(calls: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    endpoint.reply = streamed(piece("연차"), pause_s=30)
    hurried = replace(calls, credentials={**calls.credentials, "timeout_s": "1"})
    for error in all_errors(hurried):
        assert error.kind == "InvokeConnectionError"
        assert "1초 동안 답하지 않았습니다" in error.message
    assert hurried.tokens("student", [said("user", "연차는 며칠인가요?")]) > 0


@pytest.mark.parametrize("stream", [True, False])
def test_a_sign_of_life_is_no_answer(calls: ModelCalls, endpoint: ScriptedEndpoint, stream: bool) -> None:
    endpoint.reply = Reply([piece("연차") if stream else b"{", *[b": ping\n\n" if stream else b" "] * 100], pause_s=0.3)
    hurried = replace(calls, credentials={**calls.credentials, "timeout_s": "1"})
    with pytest.raises(PluginError) as caught:
        hurried.ask("student", "연차?", stream=stream)
    assert "1초 동안 답하지 않았습니다" in caught.value.message


@pytest.mark.parametrize("parts", [[piece("연차는 ")], [piece("연차는 "), b"data: {broken\n\n"], []])
def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(
    calls: ModelCalls, endpoint: ScriptedEndpoint, parts: list[bytes]
) -> None:
    endpoint.reply = Reply(parts)
    with pytest.raises(PluginError) as caught:
        calls.ask("student", "연차?")
    assert caught.value.kind == "InvokeConnectionError"
    assert "도중에 끊어졌습니다" in caught.value.message


def test_an_answer_that_is_cut_by_the_network(calls: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": "1000"}
    endpoint.reply = Reply([b'{"choices": ['], 200, headers)
    with pytest.raises(PluginError) as caught:
        calls.ask("student", "연차?", stream=False)
    assert "도중에 끊어졌습니다" in caught.value.message


def test_ten_megabytes_do_not_end_the_plugin(calls: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    endpoint.reply = as_json({"choices": [{"message": {"content": "가" * 3_500_000}, "finish_reason": "stop"}]})
    for error in all_errors(calls):
        assert error.kind in ("InvokeBadRequestError", "InvokeConnectionError")
    with pytest.raises(PluginError, match="너무 큽니다"):
        calls.ask("student", "연차?", stream=False)
    endpoint.reply = Reply([b"data: " + json.dumps("가" * 3_500_000, ensure_ascii=False).encode()])
    with pytest.raises(PluginError, match="너무 큽니다"):
        calls.ask("student", "연차?")
    assert calls.plugin.alive
    assert calls.plugin.longest_line < MAX_LINE


@pytest.mark.parametrize("status", [400, 403, 503])
def test_a_long_explanation_is_cut(calls: ModelCalls, endpoint: ScriptedEndpoint, status: int) -> None:
    endpoint.reply = told(status, "", "가나다라" * 300_000)
    for error in all_errors(calls):
        assert 100 < error.message.count("가나다라") < 300
        assert "…)" in error.message
    assert calls.plugin.alive


def test_a_long_list_of_models_is_cut(calls: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    names = [{"id": f"adapter-{number}"} for number in range(100_000)]
    reasons = [{"stage": "llm", "reason": "거절" * 100_000}] * 3
    endpoint.reply = as_json({"data": names, "llmflow": {"degradations": reasons}})
    with pytest.raises(PluginError) as caught:
        calls.schema("student")
    assert "adapter-10" in caught.value.message
    assert "거절" in caught.value.message
    assert len(caught.value.message) < 3000


def test_a_stage_that_fails_at_length_is_no_failure(calls: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    degradations = [{"stage": "llm", "reason": "오래 걸려" * 300_000}]
    results = [{"index": 0, "relevance_score": 1}]
    endpoint.reply = as_json({"results": results, "llmflow": {"degradations": degradations}})
    assert calls.rerank("연차", ["연차"])[0]["score"] == 1
    assert calls.plugin.longest_line < 100_000


def test_no_cookie_is_kept_for_others(calls: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    endpoint.reply = replace(whole(content="15일"), headers={"Set-Cookie": "user=first; Path=/"})
    for _ in range(2):
        calls.ask("student", "연차?", stream=False)
    assert endpoint.cookies == [None, None]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("context_length_exceeded", "InvokeBadRequestError"),
        ("invalid_input", "InvokeBadRequestError"),
        ("unauthenticated", "InvokeAuthorizationError"),
        ("rate_limited", "InvokeRateLimitError"),
        ("upstream", "InvokeServerUnavailableError"),
        (None, "InvokeServerUnavailableError"),
        (400, "InvokeBadRequestError"),
        (503, "InvokeServerUnavailableError"),
        (20_015, "InvokeBadRequestError"),
    ],
)
def test_the_code_of_an_error_inside_a_stream_is_its_kind(
    calls: ModelCalls, endpoint: ScriptedEndpoint, code: str | int | None, kind: str
) -> None:
    endpoint.reply = Reply([piece("연차는 "), event({"error": {"message": "너무 깁니다", "code": code}})])
    with pytest.raises(PluginError) as caught:
        calls.ask("student", "연차?")
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "odd",
    [
        delta("stop", content=[{"type": "text", "text": "15일"}]),
        delta("stop", content={"text": "15일"}),
        delta("tool_calls", tool_calls=[{"id": "a", "function": {"name": "f", "arguments": {"a": 1}}}]),
        delta("tool_calls", tool_calls=["f"]),
        event({"choices": [15]}),
        event({"choices": {"0": "15일"}}),
        event({"choices": [], "usage": 18}),
        event(b'{"choices": [{"finish_reason": "stop"}], "usage": {"prompt_tokens": 1e400}}'),
    ],
)
def test_a_chunk_in_another_form_is_told_without_python(
    calls: ModelCalls, endpoint: ScriptedEndpoint, odd: bytes
) -> None:
    endpoint.reply = streamed(piece("연차는 "), odd)
    with pytest.raises(PluginError) as caught:
        calls.ask("student", "연차?")
    assert caught.value.kind == "InvokeConnectionError"
    assert "도중에 끊어졌습니다" in caught.value.message


def test_what_is_left_out_of_the_usage_is_zero(calls: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    endpoint.reply = Reply([piece("15일", "stop"), event({"choices": [], "usage": {"completion_tokens": 3}})])
    usage = calls.ask("student", "연차?").usage
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (0, 3, 3)


def test_half_a_character_is_a_question_mark(calls: ModelCalls, endpoint: ScriptedEndpoint) -> None:
    half = rb'{"choices": [{"delta": {"content": "\ud83d, \ud83d\ude00"}, "finish_reason": "stop"}]}'
    endpoint.reply = Reply([event(half), event(b"[DONE]")])
    assert calls.ask("student", "연차?").text == "?, 😀"
    endpoint.reply = as_json(half.replace(b"delta", b"message"))
    assert calls.ask("student", "연차?", stream=False).text == "?, 😀"
    endpoint.reply = as_json(rb'{"error": {"message": "half \ud83d"}}', 400)
    with pytest.raises(PluginError, match=r"half \?"):
        calls.ask("student", "연차?")


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        ({"base_url": "llmflow.internal:8080"}, "'llmflow.internal:8080'"),
        ({"base_url": ""}, "http://"),
        ({"base_url": "http://[llmflow"}, "'http://[llmflow'"),
        ({"base_url": "http://llmflow internal"}, "'http://llmflow internal'"),
        ({"base_url": "https://"}, "'https://'"),
        ({"base_url": "http://user:password@llmflow:8080"}, "'…@llmflow:8080'"),
        ({"base_url": "http://llmflow..internal"}, "'http://llmflow..internal'"),
        ({"base_url": "http://llmflow:8080/?key=1"}, "'http://llmflow:8080/?key=1'"),
        ({"base_url": "http://llmflow:8080/#v1"}, "'http://llmflow:8080/#v1'"),
        ({"api_key": "키"}, "키가 올바르지"),
        ({"api_key": ""}, "키가 올바르지"),
        ({"timeout_s": "0"}, "'0'"),
        ({"timeout_s": "231"}, "1에서 230"),
        ({"timeout_s": "천천히"}, "'천천히'"),
        ({"language": "fr"}, "'fr'"),
    ],
)
def test_credentials_that_cannot_work_are_refused(calls: ModelCalls, credentials: dict[str, Any], words: str) -> None:
    wrong = replace(calls, credentials={**calls.credentials, **credentials})
    for attempt in (wrong.validate_provider, lambda: wrong.validate("student")):
        with pytest.raises(PluginError) as caught:
            attempt()
        assert caught.value.kind == "CredentialsValidateFailedError"
        assert words in caught.value.message


def test_a_real_server_takes_a_good_key_only(start_plugin: StartPlugin, server: LLMFlowServer, python: str) -> None:
    calls = ModelCalls(start_plugin("llmflow_models", python), server.credentials("reader"))
    calls.validate_provider()
    for pasted in ("/", "/v1", "/v1/chat/completions", "/retrieval"):
        replace(calls, credentials={**calls.credentials, "base_url": server.url + pasted}).validate_provider()
    elsewhere = {"base_url": f"{server.url}/elsewhere"}
    for wrong, words in (({"api_key": "llmflow_none"}, "키가 올바르지"), (elsewhere, "LLMFlow 서버가 없습니다")):
        with pytest.raises(PluginError) as caught:
            replace(calls, credentials={**calls.credentials, **wrong}).validate_provider()
        assert caught.value.kind == "CredentialsValidateFailedError"
        assert words in caught.value.message
