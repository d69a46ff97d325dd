"""What the tests of the endpoint's own models ask of the server."""

from __future__ import annotations

from typing import Any

import httpx
from scripted_endpoint import DONE, piece

SECRET = "the-endpoint's-own-key"
SILENCE_S = 1.0
MESSAGES = [{"role": "system", "content": "짧게."}, {"role": "user", "content": "김민준(010-2345-6789)의 연차는?"}]
STREAM = [piece(""), piece("네"), piece(".", "stop"), DONE]


def body_of(**more: Any) -> dict[str, Any]:
    return {"model": "student", "messages": MESSAGES, **more}


def complete(client: httpx.Client, **more: Any) -> httpx.Response:
    return client.post("/v1/chat/completions", json=body_of(**more))


def listed(client: httpx.Client) -> dict[str, Any]:
    response = client.get("/v1/models")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found
