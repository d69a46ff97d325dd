"""What the rest of Dify does while its engine runs a flow: plugins, code sandbox and files; and a ticket system."""

from __future__ import annotations

import json
import mimetypes
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from environments import interpreter
from worded_errors import said

from dify_plugins.tooling.daemon import PluginError, PluginProcess

HERE = Path(__file__).parent
_CODE_S = 20
_RUN_S = 120


@dataclass(frozen=True)
class Piece:
    """A piece of the reply, and the nodes that had ended when it was shown."""

    text: str
    finished: frozenset[str]


@dataclass(frozen=True)
class Node:
    """What became of a node; ``status`` is ``exception`` where its error strategy took over."""

    status: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    error: str | None


@dataclass(frozen=True)
class Run:
    """A finished run: ``succeeded``, ``failed``, or ``partial-succeeded`` where a node failed and was provided for."""

    status: str
    error: str | None
    outputs: dict[str, Any]
    pieces: tuple[Piece, ...]
    nodes: dict[str, Node]
    retries: tuple[str, ...]

    @property
    def reply(self) -> str:
        """What the chat shows."""
        return "".join(piece.text for piece in self.pieces)


@dataclass
class WorkflowHost:
    """An engine process and the services it calls; use as a context manager. One flow at a time.

    Args:
        plugins: installed plugins by ``author/name``, started over TCP, which tells what they declare.
        credentials: of every tool, as an administrator typed them in.
    """

    plugins: Mapping[str, PluginProcess]
    credentials: dict[str, Any]
    files: list[Path] = field(default_factory=list)
    """Uploads."""
    tickets: list[dict[str, Any]] = field(default_factory=list)
    """What the ticket system was sent: ``authorization`` and ``body``."""
    ticket_status: int = 201

    def __enter__(self) -> WorkflowHost:
        host = self

        class Handler(_Handler):
            services = host

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, name="workflow-host", daemon=True).start()
        self._engine = subprocess.Popen(
            [interpreter("py312"), HERE / "workflow_engine.py"],
            env={**os.environ, "WORKFLOW_HOST": self.url, "SLIM_BINARY_PATH": str(HERE / "slim.py")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._engine.stdin is not None
        self._engine.stdin.close()
        self._engine.wait()
        self._server.shutdown()
        self._server.server_close()

    def run(
        self,
        flow: Path,
        environment: Mapping[str, str] | None = None,
        credentials: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> Run:
        """Import a flow and run it.

        Args:
            environment: values for its environment variables.
            credentials: those of the tools, where they differ from the host's.
            inputs: of its start node; ``query`` for a chat. A path is a file that the user uploads.
        """
        given = {name: self._upload(value) if isinstance(value, Path) else value for name, value in inputs.items()}
        answer = self._ask(
            do="run",
            yaml=flow.read_text(encoding="utf-8"),
            inputs=given,
            environment=dict(environment or {}),
            plugins=[f"{name}:0.1.0@{'0' * 64}" for name in self.plugins],
            tool_credentials=[{"values": {**self.credentials, **(credentials or {})}}],
            sandbox=self.url,
        )
        assert "refused" not in answer, answer["refused"]
        pieces = tuple(Piece(piece["text"], frozenset(piece["finished"])) for piece in answer.pop("pieces"))
        nodes = {name: Node(**node) for name, node in answer.pop("nodes").items()}
        return Run(pieces=pieces, nodes=nodes, retries=tuple(answer.pop("retries")), **answer)

    def inspect(self, flow: Path) -> dict[str, Any]:
        """Whether the engine's importer takes a flow: ``loadable``, ``reason`` and ``nodes``, or ``refused``."""
        return self._ask(do="inspect", yaml=flow.read_text(encoding="utf-8"))

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._engine.stdin is not None
        assert self._engine.stdout is not None
        overdue = threading.Timer(_RUN_S, self._engine.kill)
        overdue.start()
        try:
            self._engine.stdin.write(json.dumps(request) + "\n")
            self._engine.stdin.flush()
            line = self._engine.stdout.readline()
        finally:
            overdue.cancel()
        assert line, "the engine's process ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _upload(self, path: Path) -> dict[str, Any]:
        self.files.append(path)
        return {
            "name": path.name,
            "url": f"{self.url}/files/{len(self.files) - 1}",
            "mime_type": mimetypes.guess_type(path)[0] or "application/octet-stream",
            "size": path.stat().st_size,
        }

    def call_plugin(self, call: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Answer a call of the engine, in the form of ``dify-plugin-daemon-slim``."""
        plugin = self.plugins[call["plugin"].partition(":")[0]]
        if call["action"] == "extract":
            (provider,) = plugin.declarations["tool_declaration"]
            yield {"manifest": {**plugin.declarations["manifest_declaration"], "tool": provider}}
            return
        data = call["data"]
        data["tool_parameters"] = {name: _for_plugin(value) for name, value in data["tool_parameters"].items()}
        try:
            for message in plugin.invoke("tool", call["action"], **data):
                yield {"event": "chunk", "data": message}
            yield {"event": "done"}
        except PluginError as error:
            yield {"event": "error", "data": {"message": said(data["provider"], error)}}

    def take_ticket(self, ticket: dict[str, Any]) -> int:
        """The ticket system: what it answers."""
        self.tickets.append(ticket)
        return self.ticket_status


def _for_plugin(value: Any) -> Any:
    """A parameter as Dify gives it to plugins: files with the address they can be fetched at."""
    if isinstance(value, dict) and value.get("dify_model_identity") == "__dify__file__":
        kept = {
            key: value[key] for key in ("dify_model_identity", "mime_type", "filename", "extension", "size", "type")
        }
        return {**kept, "url": value["remote_url"]}
    return value


def run_python(code: str) -> tuple[str, str]:
    """What a program prints on standard output and on standard error; stands for Dify's sandbox."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=_CODE_S,
        check=False,
    )
    return done.stdout, done.stderr


class _Handler(BaseHTTPRequestHandler):
    """The services over HTTP."""

    services: WorkflowHost

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        match self.path:
            case "/plugin":
                self._start(200)
                for line in self.services.call_plugin(body):
                    self.wfile.write(json.dumps(line).encode() + b"\n")
                    self.wfile.flush()
            case "/v1/sandbox/run":
                stdout, error = run_python(body["code"])
                self._send(200, {"code": 0, "message": "success", "data": {"stdout": stdout, "error": error}})
            case "/tickets":
                status = self.services.take_ticket({"authorization": self.headers["Authorization"], "body": body})
                self._send(status, {"accepted": status < 400})
            case _:
                self._send(404, {})

    def do_GET(self) -> None:
        self._start(200)
        self.wfile.write(self.services.files[int(self.path.removeprefix("/files/"))].read_bytes())

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        self._start(status)
        self.wfile.write(json.dumps(answer).encode())

    def _start(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """The tests' output stays as it is."""
