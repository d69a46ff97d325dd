from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import time
from typing import Any

import pytest
from chat_server import ChatServer, Reply, answer, chat_server, event, piece
from pydantic import SecretStr

from llmflow.errors import ConfigurationError, UpstreamError
from llmflow.models.llm import Completion, Label, LLMClient, Usage
from llmflow.settings import LLMSettings

QUESTION = [{"role": "user", "content": "연차는 며칠인가요?"}]


def client(server: ChatServer, **settings: Any) -> LLMClient:
    return LLMClient(LLMSettings(base_url=server.base_url, **settings))


def test_pieces_arrive_one_by_one_with_usage_and_reason() -> None:
    with chat_server(answer("연차는 15일입니다. [1]", size=4)) as server:
        stream = client(server).stream(QUESTION)
        pieces = list(stream)
    assert pieces[0] == "연차는 "
    assert "".join(pieces) == "연차는 15일입니다. [1]"
    assert stream.finish_reason == "stop"
    assert stream.usage == Usage(prompt_tokens=11, completion_tokens=4)
    assert server.requests[0]["messages"] == QUESTION
    assert server.requests[0]["model"] == "llmflow-student"
    assert server.requests[0]["stream"] is True


def test_first_piece_comes_before_the_last_is_sent() -> None:
    with chat_server(answer("가나다라마바", size=1, pause_s=0.05)) as server:
        start = time.monotonic()
        stream = client(server).stream(QUESTION)
        next(stream)
        first = time.monotonic() - start
        list(stream)
        assert first < (time.monotonic() - start) / 2


def test_key_is_sent_only_if_given_and_not_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-elsewhere")
    with chat_server(answer("예")) as server:
        client(server).complete(QUESTION)
        client(server, api_key=SecretStr("s3cret")).complete(QUESTION)
    assert "authorization" not in server.headers[0]
    assert server.headers[1]["authorization"] == "Bearer s3cret"


def test_line_separators_inside_json_do_not_break_a_chunk() -> None:
    with chat_server(answer("앞\u2028뒤\x85끝", size=99)) as server:
        assert client(server).complete(QUESTION) == "앞\u2028뒤\x85끝"


@pytest.mark.parametrize("size", [1, 5, 200])
def test_thoughts_are_left_out(size: int) -> None:
    with chat_server(answer("<think>\n15일인가?\n</think>\n\n15일입니다.", size)) as server:
        assert client(server).complete(QUESTION) == "15일입니다."


def test_text_that_only_begins_like_a_thought_is_kept() -> None:
    with chat_server(answer("<thing> 1 < 2", size=2)) as server:
        assert client(server).complete(QUESTION) == "<thing> 1 < 2"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failed_call_is_tried_again(status: int) -> None:
    with chat_server(Reply([b"busy"], status), answer("됐습니다")) as server:
        assert client(server, retries=1).complete(QUESTION) == "됐습니다"
    assert len(server.requests) == 2


def test_retry_after_is_obeyed() -> None:
    busy = Reply([b"busy"], 429, headers={"Retry-After": "1"})
    with chat_server(busy, answer("됐습니다")) as server:
        start = time.monotonic()
        client(server, retries=1).complete(QUESTION)
        assert time.monotonic() - start >= 1


def test_retries_are_counted() -> None:
    with chat_server(Reply([b"out of memory"], 500)) as server:
        with pytest.raises(UpstreamError, match=r"HTTP 500 \(out of memory\)") as error:
            client(server, retries=1).complete(QUESTION)
        assert server.base_url in error.value.message
    assert len(server.requests) == 2


def test_a_refused_call_is_not_tried_again() -> None:
    refusal = Reply([b'{"error": "no such model"}'], 404)
    with chat_server(refusal) as server, pytest.raises(UpstreamError, match=r"no such model.*llm\.model"):
        client(server, retries=3).complete(QUESTION)
    assert len(server.requests) == 1


def test_wrong_key_is_named() -> None:
    with chat_server(Reply([b"unauthorized"], 401)) as server, pytest.raises(UpstreamError, match=r"llm\.api_key"):
        client(server).complete(QUESTION)


def test_nobody_listening() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(UpstreamError, match=r"check that the server runs") as error:
            LLMClient(LLMSettings(base_url=url, retries=1)).complete(QUESTION)
    assert url in error.value.message


def test_truncated_stream_after_the_first_piece_is_an_error_and_not_repeated() -> None:
    with chat_server(Reply([piece("연차는 15")])) as server:
        stream = client(server, retries=2).stream(QUESTION)
        assert next(stream) == "연차는 15"
        with pytest.raises(UpstreamError, match="broke off"):
            next(stream)
    assert len(server.requests) == 1


def test_truncated_stream_before_the_first_piece_is_tried_again() -> None:
    with chat_server(Reply([b": ping\n\n"]), answer("예")) as server:
        assert client(server, retries=1).complete(QUESTION) == "예"


@pytest.mark.parametrize(
    "bad",
    [
        b"{nope",
        b"[1, 2]",
        b"null",
        b'{"choices": null}',
        b'{"choices": [{"delta": null}]}',
        b'{"choices": [{"delta": {"content": 7}}]}',
        b'{"choices": [], "usage": {"prompt_tokens": "many"}}',
    ],
)
def test_malformed_chunk(bad: bytes) -> None:
    with (
        chat_server(Reply([piece("예"), event(bad), piece(None, "stop")])) as server,
        pytest.raises(UpstreamError, match="no chat completion"),
    ):
        client(server).complete(QUESTION)


def test_error_inside_the_stream() -> None:
    with (
        chat_server(Reply([piece("예"), event({"error": {"message": "context too long"}})])) as server,
        pytest.raises(UpstreamError, match="context too long"),
    ):
        client(server).complete(QUESTION)


def test_a_web_page_instead_of_an_api() -> None:
    page = Reply([b"<html></html>"], headers={"Content-Type": "text/html"})
    with chat_server(page) as server, pytest.raises(UpstreamError, match=r"text/html.*/v1"):
        client(server).complete(QUESTION)


def test_the_deadline_holds_while_pieces_keep_dripping() -> None:
    with chat_server(answer("가" * 100, size=1, pause_s=0.05)) as server:
        start = time.monotonic()
        with pytest.raises(UpstreamError, match=r"timeout_s=0\.4"):
            client(server, timeout_s=0.4, retries=3).complete(QUESTION)
        assert time.monotonic() - start < 1.0


def test_the_deadline_covers_retries() -> None:
    with chat_server(Reply([b"busy"], 503)) as server:
        start = time.monotonic()
        with pytest.raises(UpstreamError):
            client(server, timeout_s=0.8, retries=50).complete(QUESTION)
        assert time.monotonic() - start < 1.5


def test_closing_stops_listening() -> None:
    with chat_server(answer("가" * 50, size=1, pause_s=0.02)) as server:
        stream = client(server).stream(QUESTION)
        next(stream)
        stream.close()
        assert list(stream) == []


def test_without_an_address_the_client_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match=r"llm\.base_url"):
        LLMClient(LLMSettings())


def test_an_endpoint_that_keeps_failing_is_left_alone_and_tried_again_later() -> None:
    with chat_server(Reply([b"down"], 500), Reply([b"down"], 500), answer("됐습니다")) as server:
        llm = client(server, retries=0, breaker_failures=2, breaker_pause_s=0.2)
        for _ in range(2):
            with pytest.raises(UpstreamError, match="HTTP 500"):
                llm.complete(QUESTION)
        with pytest.raises(UpstreamError, match="left alone") as error:
            llm.complete(QUESTION)
        assert len(server.requests) == 2
        time.sleep(error.value.details["retry_after_s"])
        assert llm.complete(QUESTION) == "됐습니다"


def test_refused_calls_do_not_open_the_breaker() -> None:
    with chat_server(*[Reply([b"no such model"], 404)] * 3, answer("예")) as server:
        llm = client(server, retries=0, breaker_failures=2)
        for _ in range(3):
            with pytest.raises(UpstreamError, match="HTTP 404"):
                llm.complete(QUESTION)
        assert llm.complete(QUESTION) == "예"


def whole(text: str | None, finish: str = "stop", **more: Any) -> Reply:
    """An answer in one piece."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish, **more}
    body = {"choices": [choice], "usage": {"prompt_tokens": 11, "completion_tokens": 3}}
    return Reply([json.dumps(body).encode()], headers={"Content-Type": "application/json"})


def test_a_whole_text_comes_with_its_usage_and_without_thoughts() -> None:
    with chat_server(whole("<think>\n음\n</think>\n[2] > [1]", "length")) as server:
        completion = client(server).complete_text(QUESTION, 20, "student-rerank@1")
    assert completion == Completion("[2] > [1]", "length", Usage(11, 3))
    request = server.requests[0]
    assert (request["model"], request["max_tokens"], request["temperature"]) == ("student-rerank@1", 20, 0)
    assert "stream" not in request


def test_json_follows_a_schema() -> None:
    schema = {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]}
    with chat_server(whole('{"days": 15}')) as server:
        assert client(server).complete_json(QUESTION, schema) == {"days": 15}
    assert server.requests[0]["response_format"]["json_schema"]["schema"] == schema


@pytest.mark.parametrize(
    ("text", "finish", "advice"),
    [('{"days": 1', "length", r"raise llm\.max_tokens"), ("[15]", "stop", "json_schema"), (None, "stop", "''")],
)
def test_what_is_no_json_object_is_an_error(text: str | None, finish: str, advice: str) -> None:
    with chat_server(whole(text, finish)) as server, pytest.raises(UpstreamError, match=advice):
        client(server).complete_json(QUESTION, {"type": "object"})


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"null", b'{"choices": []}', b'{"choices": [{}]}', b'{"choices": [{"message": null}]}']
)
def test_a_whole_answer_that_is_no_chat_completion(body: bytes) -> None:
    reply = Reply([body], headers={"Content-Type": "application/json"})
    with chat_server(reply) as server:
        with pytest.raises(UpstreamError, match="no chat completion"):
            client(server).complete_text(QUESTION, 5)
        with pytest.raises(UpstreamError, match=r"no (chat completion|log-probabilities)"):
            client(server).label_logprobs(QUESTION, [Label("A", None)])


def test_the_deadline_of_a_call_counts_for_all_its_tries() -> None:
    with chat_server(Reply([b"busy"], 503)) as server:
        start = time.monotonic()
        with pytest.raises(UpstreamError):
            client(server, retries=50).complete_text(QUESTION, 5, deadline=start + 0.5)
        assert time.monotonic() - start < 1.5


def test_forms_of_a_label_add_up_and_the_others_have_a_floor() -> None:
    entries = [("A", 0.5), (" A", 0.2), ("B", 0.1), ("Answer", 0.05)]
    top = [{"token": token, "logprob": math.log(share)} for token, share in entries]
    logprobs = {"content": [{**top[0], "top_logprobs": top}]}
    with chat_server(whole("A", logprobs=logprobs)) as server:
        found = client(server).label_logprobs(QUESTION, [Label(text, None) for text in "ABC"])
    assert found.logprobs[:2] == pytest.approx((math.log(0.7), math.log(0.1)))
    assert found.logprobs[2] is None
    assert found.floor == pytest.approx(math.log(0.05))
    assert (found.prompt_tokens, found.completion_tokens) == (11, 3)


def test_the_floor_is_no_more_than_what_is_left() -> None:
    top = [{"token": "A", "logprob": math.log(0.6)}, {"token": "B", "logprob": math.log(0.39)}]
    with chat_server(whole("A", logprobs={"content": [{**top[0], "top_logprobs": top}]})) as server:
        found = client(server).label_logprobs(QUESTION, [Label(text, None) for text in "ABC"])
    assert found.floor == pytest.approx(math.log(0.01))


@pytest.mark.parametrize("value", [0.5, "high", None, float("nan")])
def test_log_probabilities_that_are_none(value: Any) -> None:
    entry = {"token": "A", "logprob": value}
    reply = whole("A", logprobs={"content": [{**entry, "top_logprobs": [entry]}]})
    with chat_server(reply) as server, pytest.raises(UpstreamError, match="no chat completion"):
        client(server).label_logprobs(QUESTION, [Label("A", None)])


@pytest.mark.parametrize("count", [0, 129])
def test_the_number_of_labels_has_bounds(count: int) -> None:
    with chat_server(whole("A")) as server, pytest.raises(ValueError, match="1 to 128"):
        client(server).label_logprobs(QUESTION, [Label("A", 35)] * count)


def test_importing_loads_no_http_library() -> None:
    code = "import sys, llmflow.models.llm; print('httpx' in sys.modules, 'openai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
