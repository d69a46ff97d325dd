"""The endpoint's own models through the server: requests and answers stay as they are."""

from __future__ import annotations

import json
import threading

import httpx
import pytest
from passing_requests import MESSAGES, SECRET, STREAM, body_of, complete
from scripted_endpoint import DONE, Endpoint, Reply, completion, event, piece


def test_the_request_and_the_answer_stay_as_they_are(passing: httpx.Client, endpoint: Endpoint) -> None:
    calls = [{"id": "call-1", "type": "function", "function": {"name": "route_to_hr", "arguments": '{"q": "연차"}'}}]
    answer = json.dumps(completion({"content": None, "tool_calls": calls}), indent=1).encode()
    endpoint.replies["/v1/chat/completions"] = Reply(answer, headers={"content-type": "application/json"})
    tool = {"type": "function", "function": {"name": "route_to_hr", "parameters": {"type": "object"}}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    asked = body_of(
        model="hr",
        messages=[
            *MESSAGES,
            {"role": "tool", "tool_call_id": "x", "content": "5"},
            {"role": "user", "content": [image]},
        ],
        tools=[tool],
        tool_choice={"type": "function", "function": {"name": "route_to_hr"}},
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        n=2,
        temperature=0.1,
        chat_template_kwargs={"enable_thinking": False},
    )
    raw = json.dumps(asked, indent=2).encode()
    headers = {"Content-Type": "application/json", "Cookie": "a=b", "OpenAI-Organization": "acme"}
    response = passing.post("/v1/chat/completions", content=raw, headers=headers)
    assert (response.status_code, response.content) == (200, answer)
    assert response.headers["content-type"] == "application/json"
    (received,) = endpoint.asked()
    assert received.body == raw
    assert received.headers["authorization"] == f"Bearer {SECRET}"
    key = passing.headers["authorization"].removeprefix("Bearer ")
    assert key not in str(received.headers)
    assert not {"cookie", "openai-organization"} & set(received.headers)


def test_a_stream_comes_as_it_is_made(passing: httpx.Client, endpoint: Endpoint) -> None:
    gate = threading.Event()
    usage = event({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 2}})
    events = [*STREAM[:-1], usage, DONE]
    endpoint.replies["/v1/chat/completions"] = Reply(events=events, gate=gate)
    with passing.stream("POST", "/v1/chat/completions", json=body_of(stream=True)) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        parts = response.iter_raw()
        got = next(parts)
        assert got == events[0]
        gate.set()
        assert got + b"".join(parts) == b"".join(events)


def test_events_in_another_dress(passing: httpx.Client, endpoint: Endpoint) -> None:
    text = b": hello\r\n\r\nevent: x\r\ndata: " + piece("\u2028네", "stop").removeprefix(b"data: ").replace(
        b"\n", b"\r\n"
    )
    endpoint.replies["/v1/chat/completions"] = Reply(events=[bytes([byte]) for byte in text])
    assert complete(passing, stream=True).content == text


@pytest.mark.parametrize("stream", [False, True])
def test_the_call_ends_when_the_client_goes(passing: httpx.Client, endpoint: Endpoint, stream: bool) -> None:
    endpoint.replies["/v1/chat/completions"] = Reply(events=STREAM[:1] if stream else (), trouble="hang")
    with pytest.raises(httpx.ReadTimeout):
        passing.post("/v1/chat/completions", json=body_of(stream=stream), timeout=0.3)
    assert endpoint.gone.wait(0.5)


def test_generations_take_no_thread_of_questions(passing: httpx.Client, endpoint: Endpoint) -> None:
    gate = threading.Event()
    endpoint.replies["/v1/chat/completions"] = Reply(events=STREAM, gate=gate)
    with (
        passing.stream("POST", "/v1/chat/completions", json=body_of(stream=True)) as one,
        passing.stream("POST", "/v1/chat/completions", json=body_of(stream=True)) as two,
    ):
        assert passing.post("/v1/retrieve", json={"query": "연차"}).status_code == 200
        gate.set()
        assert one.read() == two.read() == b"".join(STREAM)
