"""A real HTTP server whose answers a test decides: JSON, and every way an answer can go wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

JSON = {"Content-Type": "application/json"}


@dataclass
class Answer:
    """``trouble``: ``hang`` sends nothing, ``drip`` never ends, ``cut`` promises more bytes than it sends."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    trouble: Literal["hang", "drip", "cut"] | None = None

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Decide = Callable[[str, Any], Answer]
"""From path and body of a request to the answer."""


class JsonServer:
    """Answers as ``decide`` says; remembers (path, body) and headers of each call."""

    def __init__(self, decide: Decide) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._over = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _answer(self, body: Any) -> None:
                server.calls.append((self.path, body))
                server.headers.append({name.lower(): value for name, value in self.headers.items()})
                answer = decide(self.path, body)
                if answer.trouble == "hang":
                    server._over.wait()
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                extra = {None: 0, "cut": 10, "drip": 10**9}[answer.trouble]
                self.send_header("Content-Length", str(len(answer.content) + extra))
                self.end_headers()
                try:
                    self.wfile.write(answer.content)
                    while answer.trouble == "drip" and not server._over.wait(0.01):
                        self.wfile.write(b" ")
                except OSError:
                    pass  # the client hung up, as some tests want

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._http.server_port}"

    @contextmanager
    def running(self) -> Iterator[JsonServer]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._http.shutdown()
            self._http.server_close()


@contextmanager
def json_server(*answers: Answer | Any, decide: Decide | None = None) -> Iterator[JsonServer]:
    """A running server: answer n for call n, the last one from then on; or what ``decide`` says."""
    given = [answer if isinstance(answer, Answer) else Answer(answer) for answer in answers]
    count = iter(range(10**9))
    with JsonServer(decide or (lambda *_: given[min(next(count), len(given) - 1)])).running() as server:
        yield server
