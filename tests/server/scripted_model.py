"""A language model for the tests: an HTTP server that streams what it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse


class Model:
    """Answers with ``pieces``, ``pause_s`` after each; breaks off where a piece is None."""

    def __init__(self) -> None:
        self.pieces: list[str | None] = []
        self.pause_s = 0.0
        self.requests: list[list[dict[str, str]]] = []
        self.sent = 0
        self.app = FastAPI()
        self.app.post("/v1/chat/completions")(self._complete)

    async def _complete(self, request: Request) -> StreamingResponse:
        self.requests.append((await request.json())["messages"])
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[str]:
        self.sent = 0
        for piece in self.pieces:
            if piece is None:
                yield "data: {broken\n\n"
                return
            yield _event({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
            self.sent += 1
            await asyncio.sleep(self.pause_s)
        yield _event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        yield "data: [DONE]\n\n"


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
