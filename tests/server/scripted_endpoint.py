"""An LLM endpoint for the tests: an HTTP server in vLLM's manner that answers what it is told to."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

STUDENT = {"id": "student", "object": "model", "created": 7, "owned_by": "vllm", "root": "/models/student"}
STUDENT |= {"parent": None, "max_model_len": 4096}


def adapter(name: str) -> dict[str, Any]:
    """An adapter of the student, as vLLM lists one."""
    return {**STUDENT, "id": name, "root": f"/adapters/{name}", "parent": "student", "max_model_len": None}


def event(data: Any) -> bytes:
    """A server-sent event."""
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


DONE = event(b"[DONE]")


def piece(text: str, finish: str | None = None) -> bytes:
    """A chunk of an answer."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "student", "choices": [choice]})


def completion(message: dict[str, Any]) -> dict[str, Any]:
    """A whole answer."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "student"}
    return {**head, "choices": [choice], "usage": usage}


@dataclass
class Reply:
    """An answer: ``body`` as JSON (bytes as they are), or ``events``.

    ``gate`` holds up everything after the first event until it is set. With the trouble ``hang`` nothing more is sent,
    with ``cut`` the connection breaks off.
    """

    body: Any = None
    events: Sequence[bytes] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    gate: threading.Event | None = None
    trouble: Literal["hang", "cut"] | None = None


@dataclass
class Received:
    """A request as it came."""

    path: str
    body: bytes
    headers: dict[str, str]


class Endpoint:
    """Serves ``models`` and answers each path as ``replies`` say; ``gone`` is set when a client hangs up."""

    def __init__(self) -> None:
        self.app = FastAPI()
        for path in ("/v1/chat/completions", "/tokenize", "/v1/models"):
            self.app.api_route(path, methods=["GET", "POST"])(self._answer)
        self.reset()

    def reset(self) -> None:
        """As at the start: two models, and a short answer."""
        self.models: list[dict[str, Any]] = [STUDENT, adapter("hr")]
        self.replies: dict[str, Reply | Callable[[dict[str, Any]], Reply]] = {
            "/v1/chat/completions": Reply(completion({"content": "네."})),
            "/tokenize": Reply({"count": 12, "max_model_len": 4096, "tokens": [0] * 12}),
            "/v1/models": lambda _: Reply({"object": "list", "data": self.models}),
        }
        self.received: list[Received] = []
        self.gone = threading.Event()

    def asked(self, path: str = "/v1/chat/completions") -> list[Received]:
        """The requests to a path."""
        return [each for each in self.received if each.path == path]

    async def _answer(self, request: Request) -> Response:
        path, body = request.url.path, await request.body()
        self.received.append(Received(path, body, dict(request.headers)))
        decide = self.replies[path]
        reply = decide(json.loads(body or b"{}")) if callable(decide) else decide
        if reply.events:
            return StreamingResponse(self._stream(reply), reply.status, reply.headers, "text/event-stream")
        if reply.trouble == "hang":
            while not await request.is_disconnected():
                await asyncio.sleep(0.01)
            self.gone.set()
        if reply.trouble == "cut":
            return StreamingResponse(self._stream(Reply(events=[b"{"], trouble="cut")), media_type="application/json")
        if isinstance(reply.body, bytes):
            return Response(reply.body, reply.status, reply.headers)
        return JSONResponse(reply.body, reply.status, reply.headers)

    async def _stream(self, reply: Reply) -> AsyncIterator[bytes]:
        try:
            for number, each in enumerate(reply.events):
                while number and reply.gate is not None and not reply.gate.is_set():
                    await asyncio.sleep(0.01)
                yield each
            if reply.trouble == "cut":
                raise ConnectionResetError
            while reply.trouble == "hang":
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.gone.set()
            raise
