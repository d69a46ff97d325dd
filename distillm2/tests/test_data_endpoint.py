"""The client of OpenAI-compatible endpoints, against a real server: retries, keys, proxies, errors."""

from __future__ import annotations

import asyncio
import email.utils
import time

import pytest
from openai_server import Asked, OpenAIServer, Reply

from distillm2.data.endpoint import Answer, Client, Endpoint, RequestError, Sampling, key_from_environment, retry_after
from distillm2.errors import DistillationError

KEY = "sk-not-to-be-seen-anywhere"
HELLO = [{"role": "user", "content": "안녕하세요"}]


def ask(endpoint: Endpoint, sampling: Sampling = Sampling()) -> Answer:  # noqa: B008 - frozen
    async def one() -> Answer:
        async with Client(endpoint, concurrency=1) as client:
            return await client.chat(HELLO, sampling)

    return asyncio.run(one())


def test_request_and_answer_have_the_openai_form() -> None:
    with OpenAIServer(lambda asked: Reply("네, 안녕하세요", finish_reason="length")) as server:
        answer = ask(Endpoint(server.url, "teacher", KEY), Sampling(seed=7))
    assert answer == Answer("네, 안녕하세요", truncated=True, tokens=2, reasoning="")
    (asked,) = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.body == {
        "messages": HELLO,
        "model": "teacher",
        "temperature": 0.8,
        "top_p": 0.95,
        "max_tokens": 1024,
        "seed": 7,
    }


def test_completion_is_asked_with_token_ids() -> None:
    async def one(endpoint: Endpoint) -> Answer:
        async with Client(endpoint, concurrency=1) as client:
            return await client.complete([5, 6, 7], ["<|im_end|>"], Sampling())

    with OpenAIServer(lambda asked: Reply("답")) as server:
        assert asyncio.run(one(Endpoint(server.url, "student"))).text == "답"
    (asked,) = server.asked
    assert asked.path == "/v1/completions"
    assert asked.body["prompt"] == [5, 6, 7]
    assert asked.body["stop"] == ["<|im_end|>"]
    assert "seed" not in asked.body
    assert "Authorization" not in asked.headers


def test_thoughts_that_the_server_keeps_apart_are_not_the_text() -> None:
    with OpenAIServer(lambda asked: Reply("4", message={"reasoning_content": "2 + 2"})) as server:
        answer = ask(Endpoint(server.url, "teacher"))
    assert (answer.text, answer.reasoning) == ("4", "2 + 2")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_trouble_is_asked_again(status: int) -> None:
    def script(asked: Asked) -> Reply:
        return Reply("busy", status) if asked.number == 0 else Reply("done")

    with OpenAIServer(script) as server:
        assert ask(Endpoint(server.url, "teacher")).text == "done"
    assert len(server.asked) == 2


def test_retry_after_is_waited_for() -> None:
    def script(asked: Asked) -> Reply:
        return Reply("later", 429, headers={"Retry-After": "1.2"}) if asked.number == 0 else Reply("done")

    with OpenAIServer(script) as server:
        assert ask(Endpoint(server.url, "teacher")).text == "done"
    assert server.asked[1].at - server.asked[0].at >= 1.2


def test_retry_after_may_be_a_date() -> None:
    assert 50 < retry_after(email.utils.formatdate(time.time() + 60, usegmt=True)) <= 60
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after("soon") == retry_after("") == 0


def test_a_timeout_is_asked_again() -> None:
    def script(asked: Asked) -> Reply:
        if asked.number == 0:
            time.sleep(1.5)
        return Reply("done")

    with OpenAIServer(script) as server:
        assert ask(Endpoint(server.url, "teacher", timeout=1.0)).text == "done"
        assert len(server.asked) == 2


def test_the_last_attempt_says_what_happened() -> None:
    with OpenAIServer(lambda asked: Reply("out of memory", 500)) as server:
        with pytest.raises(RequestError, match=r"HTTP 500: out of memory \(asked 2 times\)"):
            ask(Endpoint(server.url, "teacher", attempts=2))
        assert len(server.asked) == 2
    with pytest.raises(RequestError, match="ConnectError"):
        ask(Endpoint(server.url, "teacher", attempts=1))


def test_a_server_that_drips_is_not_waited_for_without_end() -> None:
    with (
        OpenAIServer(lambda asked: Reply("answer", drip=0.1)) as server,
        pytest.raises(RequestError, match=r"no whole answer within 0\.5 s"),
    ):
        ask(Endpoint(server.url, "teacher", timeout=0.5, attempts=1))


def test_a_redirect_says_where_to() -> None:
    def script(asked: Asked) -> Reply:
        return Reply("", 307, headers={"Location": f"https://models.example{asked.path}"})

    with (
        OpenAIServer(script) as server,
        pytest.raises(DistillationError, match=r"redirects to https://models\.example/v1: give that as --endpoint"),
    ):
        ask(Endpoint(server.url, "teacher"))


@pytest.mark.parametrize(
    "reply",
    [
        *(Reply(body, raw=True) for body in ("<html>", "{}", '{"choices": []}', '{"choices": [{}]}', "[1]")),
        Reply('{"choices": [{"message": "hello", "finish_reason": "stop"}]}', raw=True),
        Reply('{"choices": [{"message": {}, "finish_reason": "stop"}]}', raw=True),
        Reply('{"choices": ' + "[" * 100_000, raw=True),
        Reply(message={"content": 4}),
        Reply(message={"content": [{"type": "image"}]}),
        Reply(message={"content": None}, finish_reason="length"),
    ],
)
def test_an_answer_of_another_form_fails_and_is_quoted(reply: Reply) -> None:
    with (
        OpenAIServer(lambda asked: reply) as server,
        pytest.raises(RequestError, match="not an answer in OpenAI's form"),
    ):
        ask(Endpoint(server.url, "teacher"))
    assert len(server.asked) == 1


def test_a_completion_without_text_is_not_an_empty_answer() -> None:
    async def one(endpoint: Endpoint) -> Answer:
        async with Client(endpoint, concurrency=1) as client:
            return await client.complete([5], [], Sampling())

    with (
        OpenAIServer(lambda asked: Reply('{"choices": [{"finish_reason": "stop"}]}', raw=True)) as server,
        pytest.raises(RequestError, match="not an answer in OpenAI's form"),
    ):
        asyncio.run(one(Endpoint(server.url, "student")))


@pytest.mark.parametrize("reason", ["content_filter", "tool_calls", "abort", None])
def test_only_stop_and_length_end_an_answer(reason: str | None) -> None:
    with (
        OpenAIServer(lambda asked: Reply("half an ans", finish_reason=reason)) as server,
        pytest.raises(RequestError, match=f"finish_reason is {reason!r}"),
    ):
        ask(Endpoint(server.url, "teacher"))


@pytest.mark.parametrize(
    ("reply", "text", "truncated"),
    [
        (Reply(message={"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}), "ab", False),
        (Reply(message={"content": None}), "", False),
        (Reply(message={"content": None, "reasoning": "2 +"}, finish_reason="length"), "", True),
        (Reply("\ud83d 반쪽 \ude00, 😀"), "\ufffd 반쪽 \ufffd, 😀", False),
    ],
)
def test_forms_that_an_answer_may_have(reply: Reply, text: str, truncated: bool) -> None:
    with OpenAIServer(lambda asked: reply) as server:
        answer = ask(Endpoint(server.url, "teacher"))
    assert (answer.text, answer.truncated) == (text, truncated)


def test_a_body_that_cannot_be_decoded_fails_one_request() -> None:
    with (
        OpenAIServer(lambda asked: Reply("plain", headers={"Content-Encoding": "gzip"})) as server,
        pytest.raises(RequestError, match="DecodingError"),
    ):
        ask(Endpoint(server.url, "teacher", attempts=1))


def test_a_bad_request_is_not_asked_again() -> None:
    with OpenAIServer(lambda asked: Reply("prompt too long", 400)) as server:
        with pytest.raises(RequestError, match="HTTP 400: prompt too long"):
            ask(Endpoint(server.url, "teacher"))
        assert len(server.asked) == 1


def test_a_refused_key_stops_everything_and_is_not_shown() -> None:
    with (
        OpenAIServer(lambda asked: Reply(f"Incorrect API key {KEY}", 401)) as server,
        pytest.raises(DistillationError, match="401") as caught,
    ):
        ask(Endpoint(server.url, "teacher", KEY))
    assert KEY not in str(caught.value)
    assert KEY not in repr(Endpoint(server.url, "teacher", KEY))


def test_loopback_is_reached_whatever_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with OpenAIServer(lambda asked: Reply("here")) as server:
        assert ask(Endpoint(server.url, "teacher")).text == "here"
        assert ask(Endpoint(server.url.replace("127.0.0.1", "localhost"), "teacher")).text == "here"


def test_other_hosts_are_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIServer(lambda asked: Reply("through the proxy")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert ask(Endpoint("http://teacher.invalid/v1", "teacher")).text == "through the proxy"
    assert proxy.asked[0].path == "http://teacher.invalid/v1/chat/completions"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://host:8000", "http://host:8000/v1"),
        ("http://host:8000/v1/", "http://host:8000/v1"),
        ("https://host/openai/v1/chat/completions", "https://host/openai/v1"),
        ("http://host/v1/completions", "http://host/v1"),
    ],
)
def test_addresses_are_brought_to_one_form(given: str, used: str) -> None:
    assert Endpoint(given, "teacher").url == used


@pytest.mark.parametrize(
    "bad",
    [
        *("localhost:8000", "ftp://host", "http://", f"ftp://me:{KEY}@host", f"http://host?k={KEY}"),
        *(
            "http://host:99999",
            "http://host:80a",
            "http://[::1/v1",
            f"http://me:{KEY}@[::1",
            "http://a..b",
            "http://a\x01",
        ),
    ],
)
def test_bad_addresses_are_refused_without_showing_secrets(bad: str) -> None:
    with pytest.raises(DistillationError) as caught:
        Endpoint(bad, "teacher")
    assert KEY not in str(caught.value)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert key_from_environment("MY_KEY", "OPENAI_API_KEY") == KEY
    assert key_from_environment(None, "OPENAI_API_KEY") is None
    with pytest.raises(DistillationError, match="NO_SUCH_KEY is not set"):
        key_from_environment("NO_SUCH_KEY", "OPENAI_API_KEY")


def test_the_key_is_sent_without_line_ends_and_may_hold_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", f"{KEY}\r\n")
    assert key_from_environment("MY_KEY", "OPENAI_API_KEY") == KEY
    for bad in (f"{KEY}\r{KEY}", f"{KEY}\x01", f"{KEY}키"):
        monkeypatch.setenv("MY_KEY", bad)
        with pytest.raises(DistillationError, match="MY_KEY holds a control or non-ASCII character") as caught:
            key_from_environment(None, "MY_KEY")
        assert KEY not in str(caught.value)


def test_a_key_that_cannot_be_sent_is_not_shown_nor_tried_again() -> None:
    with OpenAIServer(lambda asked: Reply("never")) as server:
        with pytest.raises(RequestError, match="LocalProtocolError") as caught:
            ask(Endpoint(server.url, "teacher", f"{KEY}\r"))
        assert "asked" not in str(caught.value)
        assert KEY not in str(caught.value)
        assert not server.asked
