"""The LLM behind an LLMFlow server: an OpenAI-compatible endpoint that lists, counts and answers as it is told to.

As the address of a plugin it stands for an LLMFlow server that fails in ways a real one cannot be brought to.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from chat_server import Reply, event, send, serving_http

WINDOW = 32_768
TOKENS = 321
"""What it counts of any prompt."""
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def served(name: str, parent: str | None = None) -> dict[str, Any]:
    """A model as vLLM lists it."""
    window = None if parent else WINDOW
    return {"id": name, "object": "model", "created": 1, "owned_by": "vllm", "parent": parent, "max_model_len": window}


def delta(finish: str | None = None, **said: Any) -> bytes:
    """A chunk of a streamed answer."""
    return event({"choices": [{"index": 0, "delta": said, "finish_reason": finish}]})


def called(index: int | None, arguments: str, identifier: str | None = None, name: str | None = None) -> bytes:
    """A chunk with a piece of a tool call."""
    function = {"arguments": arguments} | ({"name": name} if name else {})
    head = {"id": identifier, "type": "function"} if identifier else {}
    return delta(tool_calls=[{"index": index, **head, "function": function}])


def streamed(*parts: bytes, pause_s: float = 0.0) -> Reply:
    """A streamed answer of these parts, with usage and the end mark."""
    return Reply([*parts, event({"choices": [], "usage": USAGE}), event(b"[DONE]")], pause_s=pause_s)


def whole(finish: str = "stop", **message: Any) -> Reply:
    """An answer in one piece."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return as_json({"id": "1", "object": "chat.completion", "created": 1, "choices": [choice], "usage": USAGE})


def as_json(body: Any, status: int = 200, **headers: str) -> Reply:
    """A JSON body."""
    content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return Reply([content], status, {"Content-Type": "application/json", **headers})


class ScriptedEndpoint:
    """Serves ``models``; answers completions with the next of ``replies``.

    Where ``reply`` is set, that is the answer at every path.
    """

    def __init__(self) -> None:
        self.models = [served("student"), served("hr", "student")]
        self.replies: deque[Reply] = deque()
        self.reply: Reply | None = None
        self.requests: list[dict[str, Any]] = []
        self.counted: list[dict[str, Any]] = []
        self.cookies: list[str | None] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(endpoint.reply or as_json({"object": "list", "data": endpoint.models}))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.cookies.append(self.headers["Cookie"])
                if endpoint.reply:
                    self._send(endpoint.reply)
                else:
                    self._send(endpoint.answer(self.path, body))

            def _send(self, reply: Reply) -> None:
                send(self, reply)

            def log_message(self, *_: object) -> None:
                pass

        class HttpServer(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self._http = HttpServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def answer(self, path: str, body: dict[str, Any]) -> Reply:
        """The answer to a request."""
        if path == "/tokenize":
            self.counted.append(body)
            return as_json({"count": TOKENS, "max_model_len": WINDOW, "tokens": []})
        self.requests.append(body)
        return self.replies.popleft()

    @contextmanager
    def running(self) -> Iterator[ScriptedEndpoint]:
        """Serve until the block ends."""
        with serving_http(self._http):
            yield self
