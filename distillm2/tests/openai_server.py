"""A real HTTP server that answers in OpenAI's form as a test's script says, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """A request as it came in; ``number`` counts from 0 over all requests, ``at`` is in seconds."""

    number: int
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float

    @property
    def text(self) -> str:
        """The last message of a chat."""
        return str(self.body["messages"][-1]["content"])


@dataclass(frozen=True)
class Reply:
    """What to answer: text in OpenAI's form, or, with another status, the text alone; a byte each ``drip`` seconds."""

    text: str = ""
    status: int = 200
    finish_reason: str | None = "stop"
    headers: dict[str, str] = field(default_factory=dict)
    message: dict[str, Any] = field(default_factory=dict)
    raw: bool = False
    drip: float = 0.0


Script = Callable[[Asked], Reply]


class OpenAIServer:
    """Serves on a free port of 127.0.0.1 while used as a context; the script may block to hold requests back."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                server._serve(self)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> OpenAIServer:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def wait_for(self, count: int, seconds: float = 60.0) -> None:
        """Until so many requests came in."""
        end = time.monotonic() + seconds
        while len(self.asked) < count:
            assert time.monotonic() < end, f"{len(self.asked)} of {count} requests after {seconds} s"
            time.sleep(0.01)

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            asked = Asked(len(self.asked), handler.path, dict(handler.headers), body, time.monotonic())
            self.asked.append(asked)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            reply = self.script(asked)
        finally:
            with self._lock:
                self._at_once -= 1
        text = reply.text if reply.raw or reply.status != 200 else json.dumps(_form(asked, reply))
        content = text.encode()
        try:
            handler.send_response(reply.status)
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            for part in [content[at : at + 1] for at in range(len(content))] if reply.drip else [content]:
                time.sleep(reply.drip)
                handler.wfile.write(part)
        except OSError:
            handler.close_connection = True  # the client was killed


def _form(asked: Asked, reply: Reply) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": 0, "finish_reason": reply.finish_reason}
    if asked.path.endswith("/chat/completions"):
        choice["message"] = {"role": "assistant", "content": reply.text, **reply.message}
    else:
        choice["text"] = reply.text
    return {"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": len(reply.text.split())}}
