"""What a plugin may find where it looks for LLMFlow: an HTTP server that answers whatever a test says."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from chat_server import Reply, send, serving_http
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Asked:
    """A request: its method, path, headers with small names, and body."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Decide = Callable[[Asked], Reply]


def as_json(body: Any, status: int = 200, **headers: str) -> Reply:
    """A whole JSON body."""
    content = json.dumps(body, ensure_ascii=False).encode()
    return Reply(
        [content], status, {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}
    )


def told(status: int, code: str, message: str = "", param: str | None = None, **headers: str) -> Reply:
    """An error in LLMFlow's form."""
    error = {"code": code, "message": message, "type": "Error", "param": param, "details": {}}
    return as_json({"error": error, "request_id": "request-17"}, status, **headers)


def page(status: int = 200, **headers: str) -> Reply:
    """What a proxy or a login page says."""
    return Reply([b"<html><h1>Sign in</h1></html>"], status, {"Content-Type": "text/html", **headers})


def events(*named: tuple[str, Any], pause_s: float = 0.0) -> Reply:
    """Server-sent events with names."""
    parts = [f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode() for name, data in named]
    return Reply(parts, pause_s=pause_s)


class FaultyServer:
    """Answers every request as ``decide`` says, and remembers it."""

    def __init__(self, decide: Decide) -> None:
        self.decide = decide
        self.asked: list[Asked] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, self._body(headers))
                server.asked.append(asked)
                reply = server.decide(asked)
                send(self, reply)

            def _body(self, headers: dict[str, str]) -> bytes:
                if "chunked" not in headers.get("transfer-encoding", ""):
                    return self.rfile.read(int(headers.get("content-length", "0")))
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)

            def log_message(self, *_: object) -> None:
                pass

        class HttpServer(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_: object) -> None:
                pass  # clients that speak something else than HTTP are what some tests want

        self._http = HttpServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def encrypt(self, folder: Path) -> None:
        """Speak TLS, with a certificate that nobody trusts."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_certificate(folder))
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self.url = self.url.replace("http:", "https:")

    @contextmanager
    def running(self) -> Iterator[FaultyServer]:
        """Serve until the block ends."""
        with serving_http(self._http):
            yield self


def _certificate(folder: Path) -> Path:
    """A file with a key and a certificate it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "certificate.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
