"""Tokens counted by the endpoint, or estimated where it does not tell."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from passing_requests import MESSAGES, SECRET, listed
from scripted_endpoint import STUDENT, Endpoint, Reply


def test_tokens_are_those_of_the_model(passing: httpx.Client, endpoint: Endpoint) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    asked: dict[str, Any] = {"model": "hr", "messages": MESSAGES, "tools": tools}
    response = passing.post("/v1/tokenize", json=asked)
    assert response.json() == {"model": "hr", "count": 12, "max_model_len": 4096, "exact": True}
    (received,) = endpoint.asked("/tokenize")
    assert json.loads(received.body) == asked
    assert received.headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        ({"prompt": "가나다라 abcdefg 12"}, 2 + 2 + 1),
        ({"prompt": ""}, 0),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "가나"}, {"type": "image_url"}]}]}, 1),
        ({"messages": [{"role": "user", "content": "가나"}], "tools": [{"a": "가나"}]}, 1 + 1 + 1 + 9),
    ],
)
@pytest.mark.parametrize("why", ["ours", "no vllm", "away", "nonsense"])
def test_tokens_are_estimated_where_nobody_tells(
    passing: httpx.Client, endpoint: Endpoint, prompt: dict[str, Any], count: int, why: str
) -> None:
    model, window = ("llmflow", None) if why == "ours" else ("student", 4096)
    if why == "no vllm":
        endpoint.models = [{**STUDENT, "owned_by": "else"}]
    listed(passing)
    if why == "away":
        endpoint.replies["/tokenize"] = Reply({"error": "x"}, status=500)
    if why == "nonsense":
        endpoint.replies["/tokenize"] = Reply({"tokens": []})
    response = passing.post("/v1/tokenize", json={"model": model, **prompt})
    assert response.json() == {"model": model, "count": count, "max_model_len": window, "exact": False}


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "gpt-4", "prompt": "x"}, 404, "model"),
        ({"model": "student"}, 422, "messages"),
        ({"model": "student", "prompt": "x", "messages": MESSAGES}, 422, "messages"),
        ({"model": "student", "prompt": "x", "tools": []}, 422, "tools"),
        ({"model": "student", "messages": []}, 422, "messages"),
        ({"model": "student", "prompt": "x", "add_special_tokens": True}, 422, "add_special_tokens"),
    ],
)
def test_a_bad_request_for_tokens(
    passing: httpx.Client, endpoint: Endpoint, body: dict[str, Any], status: int, param: str
) -> None:
    response = passing.post("/v1/tokenize", json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (status, param)


def test_parts_that_are_no_texts_count_nothing(passing: httpx.Client) -> None:
    parts = [{"type": "text", "text": text} for text in (5, None, ["x"], "가나다")]
    body = {"model": "llmflow", "messages": [{"role": "user", "content": [*parts, "x"]}]}
    response = passing.post("/v1/tokenize", json=body)
    assert (response.status_code, response.json()["count"]) == (200, 2)


def test_half_a_character_in_a_prompt(passing: httpx.Client, endpoint: Endpoint) -> None:
    for path in ("/v1/tokenize", "/v1/chat/completions"):
        raw = rb'{"model": "student", "messages": [{"role": "user", "content": "\ud83d"}]}'
        assert passing.post(path, content=raw, headers={"Content-Type": "application/json"}).status_code == 200


def test_a_prompt_that_the_endpoint_refuses(passing: httpx.Client, endpoint: Endpoint) -> None:
    endpoint.replies["/tokenize"] = Reply({"error": {"message": "no such role"}}, status=400)
    response = passing.post("/v1/tokenize", json={"model": "student", "messages": MESSAGES})
    assert (response.status_code, "no such role" in response.text) == (422, True)
