"""Traces on their way to a Langfuse server; none without keys."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pydantic import SecretStr
from recorded import SCOPE, make, only_trace, recent

from llmflow.errors import ConfigurationError
from llmflow.schema import Scope
from llmflow.settings import TracingSettings
from llmflow.tracing import LocalTraces, Tracer


def with_keys(url: str) -> TracingSettings:
    return TracingSettings(public_key="pk-lf-1", secret_key=SecretStr("sk-lf-2"), base_url=url)


class LangfuseServer(ThreadingHTTPServer):
    """Takes what a Langfuse server takes, and keeps it: (path, authorization, body)."""

    daemon_threads = True

    def __init__(self) -> None:
        self.received: list[tuple[str, str, bytes]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def bodies(self, path: str) -> list[bytes]:
        return [body for at, _, body in self.received if at == path]


class Handler(BaseHTTPRequestHandler):
    server: LangfuseServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.received.append((self.path, self.headers["Authorization"], body))
        answer = b"{}" if "scores" in self.path else b""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[LangfuseServer]:
    with LangfuseServer() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def test_with_keys_traces_and_scores_go_to_both(server: LangfuseServer, path: Path) -> None:
    with closing(Tracer(with_keys(server.url + "/"), path)) as tracer, tracer.acting(SCOPE):
        with tracer.observe("ask", "chain", input="연차는?", file="\udcff.pdf") as ask, tracer.observe("retrieve"):
            pass
        tracer.score(SCOPE, ask.trace_id, "helpful", 1)
        trace = only_trace(tracer, path)
    spans: dict[str, Any] = {}
    for body in server.bodies("/api/public/otel/v1/traces"):
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            spans |= {span.name: span for scope in resource.scope_spans for span in scope.spans}
    assert set(spans) == {"ask", "retrieve"}
    attributes = {item.key: item.value.string_value for item in spans["ask"].attributes}
    assert attributes["langfuse.observation.type"] == "chain"
    assert attributes["langfuse.observation.input"] == "연차는?"
    assert spans["ask"].trace_id.hex() == spans["retrieve"].trace_id.hex() == ask.trace_id
    assert spans["retrieve"].parent_span_id == spans["ask"].span_id
    (scores,) = server.bodies("/api/public/scores")
    assert '"helpful"' in json.dumps(json.loads(scores))
    assert str(ask.trace_id) in scores.decode()
    expected = "Basic " + base64.b64encode(b"pk-lf-1:sk-lf-2").decode()
    assert {authorization for _, authorization, _ in server.received} == {expected}

    assert trace.summary.trace_id == ask.trace_id
    assert [child.name for child in trace.roots[0].children] == ["retrieve"]
    assert [score.name for score in trace.scores] == ["helpful"]


def test_the_server_learns_for_whom_and_in_whose_trace(server: LangfuseServer, path: Path) -> None:
    scope, trace = Scope("회사", ("재무", "인사"), "key:1"), "4bf92f3577b34da6a3ce929d0e0e4736"
    with (
        closing(Tracer(with_keys(server.url), path)) as tracer,
        tracer.acting(scope, f"00-{trace}-00f067aa0ba902b7-01"),
        tracer.observe("ask"),
        tracer.observe("retrieve"),
    ):
        pass
    spans: dict[str, Any] = {}
    for body in server.bodies("/api/public/otel/v1/traces"):
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for made in resource.scope_spans:
                # Langfuse refuses those of its SDK with another public key than the headers'.
                assert not made.scope.name.startswith("langfuse-sdk")
                spans |= {span.name: span for span in made.spans}
    assert {span.trace_id.hex() for span in spans.values()} == {trace}
    assert spans["ask"].parent_span_id.hex() == "00f067aa0ba902b7"
    roots: set[str] = set()
    for name, span in spans.items():
        values = {item.key: item.value for item in span.attributes}
        assert values["user.id"].string_value == "key:1"
        assert json.loads(values["langfuse.trace.metadata.tenant"].string_value) == "회사"
        assert json.loads(values["langfuse.trace.metadata.departments"].string_value) == ["인사", "재무"]
        roots |= {name} if "langfuse.internal.as_root" in values else set()
    assert roots == {"ask"}


def test_two_tracers_with_the_same_keys_both_send(server: LangfuseServer, path: Path) -> None:
    for name in ("first", "second"):
        with closing(Tracer(with_keys(server.url), path)) as tracer:
            make(tracer, name)
    sent = b"".join(server.bodies("/api/public/otel/v1/traces"))
    assert b"first" in sent
    assert b"second" in sent


def test_a_closed_port_slows_nothing_and_loses_nothing_here(path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tracer = Tracer(with_keys(f"http://127.0.0.1:{port}"), path)
    make(tracer, "first, which loads the SDK")
    started = time.perf_counter()
    for number in range(100):
        make(tracer, f"q{number}")
    assert time.perf_counter() - started < 1
    started = time.perf_counter()
    tracer.close()
    assert time.perf_counter() - started < 7
    assert len(recent(path, 1000)) == 101


def test_a_server_that_never_answers_is_not_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("llmflow.tracing.sinks._WAIT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        tracer = Tracer(with_keys(f"http://127.0.0.1:{mute.getsockname()[1]}"), path)
        trace_id = make(tracer, "ask")
        tracer.score(SCOPE, trace_id, "helpful", 1)
        started = time.perf_counter()
        tracer.close()
        assert time.perf_counter() - started < 2
    assert "does not take the latest observations" in caplog.text
    assert LocalTraces(path).get(SCOPE, trace_id).summary.name == "ask"


def test_one_key_alone_is_refused(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="go together"):
        Tracer(TracingSettings(public_key="pk"), path)


def test_without_keys_nothing_touches_the_network(tmp_path: Path) -> None:
    program = f"""
import socket
from pathlib import Path
def refuse(*args, **kwargs):
    print("NETWORK", args, flush=True)
    raise OSError("refused")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from llmflow.schema import Scope
from llmflow.settings import TracingSettings
from llmflow.tracing import Tracer
tracer = Tracer(TracingSettings(), Path({str(tmp_path / "t.db")!r}))
picture = "data:image/png;base64,iVBORw0KGgo="
with tracer.acting(Scope("t", ())), tracer.observe("ask", input=picture) as step:
    step.update(output={{"picture": picture}})
tracer.score(Scope("t", ()), step.trace_id, "helpful", 1)
tracer.flush()
tracer.close()
print("done")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "done\n"
