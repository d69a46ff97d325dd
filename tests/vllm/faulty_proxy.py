"""A proxy in front of a server: it remembers the chat calls that pass, and spoils those it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import httpx

Fault = Literal["500", "truncate", "die", "hang"]


@dataclass
class FaultyProxy:
    """``faults`` are what the next chat calls meet; ``chats`` the bodies and replies of those that passed."""

    url: str
    faults: list[Fault] = field(default_factory=list)
    chats: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


@contextmanager
def faulty_proxy(target: str) -> Iterator[FaultyProxy]:
    """A running proxy of the server at ``target``."""
    upstream = httpx.Client(base_url=target, timeout=120)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass_on(upstream.get(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            chat = self.path.endswith("/chat/completions")
            fault = proxy.faults.pop(0) if chat and proxy.faults else None
            if fault == "500":
                self.send_error(500)
            elif fault == "hang":
                proxy.released.wait(60)
            elif fault != "die":
                response = upstream.post(self.path, content=body, headers={"Content-Type": "application/json"})
                if chat and response.is_success:
                    proxy.chats.append((json.loads(body), response.json()))
                self._pass_on(response, truncate=fault == "truncate")

        def _pass_on(self, response: httpx.Response, truncate: bool = False) -> None:
            self.send_response(response.status_code)
            self.send_header("Content-Type", response.headers["content-type"])
            self.send_header("Content-Length", str(len(response.content)))
            self.end_headers()
            self.wfile.write(response.content[: len(response.content) // 2] if truncate else response.content)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

    server = Server(("127.0.0.1", 0), Handler)
    proxy = FaultyProxy(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.released.set()
        server.shutdown()
        server.server_close()
        upstream.close()
