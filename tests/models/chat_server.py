"""A real HTTP server that speaks the chat completions protocol from a script."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """One answer of the server: its head, then raw parts with a pause before each."""

    parts: Sequence[bytes] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/event-stream"})
    pause_s: float = 0.0


def event(data: Any) -> bytes:
    """A server-sent event."""
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode()) + b"\n\n"


def piece(text: str | None, finish: str | None = None) -> bytes:
    """A chunk of an answer."""
    return event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]})


def answer(text: str, size: int = 7, finish: str = "stop", pause_s: float = 0.0) -> Reply:
    """A whole answer in pieces of ``size`` characters, with usage and the end mark."""
    parts = [piece(text[i : i + size]) for i in range(0, len(text), size)]
    usage = event({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": len(parts)}})
    return Reply([*parts, piece(None, finish), usage, event(b"[DONE]")], pause_s=pause_s)


def send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    """Answer the request that ``handler`` has."""
    try:
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        for part in reply.parts:
            time.sleep(reply.pause_s)
            handler.wfile.write(part)
            handler.wfile.flush()
    except OSError:
        pass  # the client hung up, as some tests want


@contextmanager
def serving_http(http: ThreadingHTTPServer) -> Iterator[None]:
    """Serve from a thread until the block ends."""
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        http.shutdown()
        http.server_close()


class ChatServer:
    """Answers call n with reply n (the last one from then on); remembers what it was sent."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._replies = list(replies)
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.requests.append(json.loads(body))
                server.headers.append({name.lower(): value for name, value in self.headers.items()})
                reply = server._replies[min(len(server.requests), len(server._replies)) - 1]
                send(self, reply)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._http.server_port}/v1"

    @contextmanager
    def running(self) -> Iterator[ChatServer]:
        """Serve until the block ends."""
        with serving_http(self._http):
            yield self


@contextmanager
def chat_server(*replies: Reply) -> Iterator[ChatServer]:
    """A running server with these replies."""
    with ChatServer(replies).running() as server:
        yield server
