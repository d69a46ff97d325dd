"""A server to download from."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from llmflow.errors import DocumentError
from llmflow.ingestion.fetch import fetch
from llmflow.settings import FetchSettings

CLOSED = FetchSettings()
Answer = Callable[[BaseHTTPRequestHandler], None]


class Site:
    """A server whose pages are functions; ``seen`` are the requests it got."""

    def __init__(self) -> None:
        site = self
        self.pages: dict[str, Answer] = {}
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                site.seen.append((self.command, self.path, headers, self.rfile.read(length)))
                with suppress(BrokenPipeError, ConnectionResetError):  # the client had enough
                    site.pages[self.path.partition("?")[0]](self)

            do_HEAD = do_POST = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def page(self, path: str, body: bytes = b"", status: int = 200, **headers: str) -> str:
        """Serve a page; its URL. ``content_type`` stands for Content-Type."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            for name, value in headers.items():
                request.send_header(name.replace("_", "-"), value)
            if "Content_Length" not in headers:
                request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            if request.command != "HEAD":
                request.wfile.write(body)

        self.pages[path] = answer
        return self.url + path

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _, _ in self.seen]


def refused(url: str, target: Path, settings: FetchSettings, max_mb: int = 1) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        fetch(url, target, settings, max_mb)
    return caught.value
