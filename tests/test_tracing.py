from __future__ import annotations

import base64
import gzip
import json
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from pydantic import SecretStr

from llmflow.errors import ConfigurationError, InvalidInputError, NotFoundError
from llmflow.schema import Scope
from llmflow.settings import TracingSettings
from llmflow.tracing import LocalTraces, Trace, Tracer, TraceSummary, in_current_trace

SCOPE = Scope("회사", ("인사",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "traces.db"


@pytest.fixture
def tracer(path: Path) -> Iterator[Tracer]:
    with closing(Tracer(TracingSettings(), path)) as opened, opened.acting(SCOPE):
        yield opened


def recent(path: Path, limit: int = 20) -> tuple[TraceSummary, ...]:
    return LocalTraces(path).recent(SCOPE, limit)


def with_keys(url: str) -> TracingSettings:
    return TracingSettings(public_key="pk-lf-1", secret_key=SecretStr("sk-lf-2"), base_url=url)


def only_trace(tracer: Tracer, path: Path) -> Trace:
    tracer.flush()
    (summary,) = recent(path)
    return LocalTraces(path).get(SCOPE, summary.trace_id)


def make(tracer: Tracer, name: str) -> str:
    with tracer.acting(SCOPE), tracer.observe(name) as step:
        assert step.trace_id is not None
        return step.trace_id


def test_steps_become_a_tree(tracer: Tracer, path: Path) -> None:
    with tracer.observe("ask", "chain", input="연차는 며칠인가요?", tenant="acme") as ask:
        with tracer.observe("retrieve", "retriever", input={"질문": "연차"}) as retrieve:
            time.sleep(0.01)
            retrieve.update(output=[{"id": "c1"}], metadata={"k": 10, "legs": ["bm25", "dense"]})
        with tracer.observe("generate", "generation") as generate:
            generate.update(output="15일", model="student", usage={"input": 300, "output": 12})
        ask.update(output="15일", warning="dense leg skipped: corpus too small")
    trace = only_trace(tracer, path)

    assert trace.summary.trace_id == ask.trace_id == retrieve.trace_id == generate.trace_id
    assert (trace.summary.name, trace.summary.observations, trace.summary.errors) == ("ask", 3, 0)
    (root,) = trace.roots
    assert (root.name, root.kind, root.input, root.output) == ("ask", "chain", "연차는 며칠인가요?", "15일")
    assert (root.level, root.message) == ("WARNING", "dense leg skipped: corpus too small")
    assert root.metadata == {"tenant": "acme"}
    first, second = root.children
    assert (first.name, first.kind, first.level, first.message) == ("retrieve", "retriever", "DEFAULT", None)
    assert (first.input, first.output) == ('{"질문": "연차"}', '[{"id": "c1"}]')
    assert first.metadata == {"k": 10, "legs": ["bm25", "dense"]}
    assert (second.name, second.kind) == ("generate", "generation")
    assert second.metadata == {"model.name": "student", "usage_details": {"input": 300, "output": 12}}
    assert 10 <= first.duration_ms <= root.duration_ms == trace.summary.duration_ms
    assert 0 == root.offset_ms < first.offset_ms < second.offset_ms


def test_an_exception_is_recorded_without_its_text_and_goes_on(tracer: Tracer, path: Path) -> None:
    error = ValueError("주민번호 900101-1234567")
    with pytest.raises(ValueError, match="주민번호") as caught, tracer.observe("ingest"), tracer.observe("parse"):
        raise error
    assert caught.value is error
    trace = only_trace(tracer, path)
    assert trace.summary.errors == 2
    (parse,) = trace.roots[0].children
    assert parse.level == "ERROR"
    assert parse.message is not None
    assert parse.message.startswith("ValueError at test_tracing.py:")
    assert b"900101" not in path.read_bytes() + path.with_name(path.name + "-wal").read_bytes()


def test_an_error_of_our_own_keeps_its_text(tracer: Tracer, path: Path) -> None:
    with pytest.raises(NotFoundError), tracer.observe("get"):
        raise NotFoundError("no document with the id 'x'")
    assert only_trace(tracer, path).roots[0].message == "not_found: no document with the id 'x'"


def test_functions_carry_the_trace_into_other_threads(tracer: Tracer, path: Path) -> None:
    together = threading.Barrier(4)

    def leg(name: str) -> None:
        with tracer.observe(name):
            together.wait(10)
            with tracer.observe(f"{name}.inner"):
                pass

    with tracer.observe("retrieve"), ThreadPoolExecutor(4) as pool:
        list(pool.map(in_current_trace(leg), "abcd"))
    (root,) = only_trace(tracer, path).roots
    assert sorted(child.name for child in root.children) == ["a", "b", "c", "d"]
    assert all(child.children[0].name == f"{child.name}.inner" for child in root.children)


def test_recent_traces_come_newest_first(tracer: Tracer, path: Path) -> None:
    ids = [make(tracer, f"q{number}") for number in range(5)]
    tracer.flush()
    assert [(summary.trace_id, summary.name) for summary in recent(path, 3)] == [
        (ids[4], "q4"),
        (ids[3], "q3"),
        (ids[2], "q2"),
    ]


def test_an_id_may_be_shortened_while_it_is_unique(tracer: Tracer, path: Path) -> None:
    ids = [make(tracer, "q") for _ in range(17)]
    tracer.flush()
    traces = LocalTraces(path)
    assert traces.get(SCOPE, ids[3][:16].upper()).summary.trace_id == ids[3]
    first_digits = [trace_id[0] for trace_id in ids]
    with pytest.raises(InvalidInputError, match="several traces"):
        traces.get(SCOPE, next(digit for digit in first_digits if first_digits.count(digit) > 1))
    for absent in ("", "0" * 32, "*", "%", "질문"):
        with pytest.raises(NotFoundError, match="llmflow traces"):
            traces.get(SCOPE, absent)


def test_no_file_means_no_traces(path: Path) -> None:
    assert recent(path) == ()
    with pytest.raises(NotFoundError):
        LocalTraces(path).get(SCOPE, "ab")
    assert not path.parent.exists()


def test_switched_off_nothing_is_recorded(path: Path) -> None:
    tracer = Tracer(TracingSettings(enabled=False), path)
    with tracer.observe("ask", input="q", k=1) as step:
        step.update(output="a", warning="w")
        assert step.trace_id is None
    tracer.score(SCOPE, step.trace_id, "helpful", 1)
    tracer.flush()
    tracer.close()
    assert not path.exists()


def test_scores_belong_to_traces_also_of_earlier_runs(path: Path) -> None:
    with closing(Tracer(TracingSettings(), path)) as tracer:
        trace_id = make(tracer, "ask")
    with closing(Tracer(TracingSettings(), path)) as tracer:
        tracer.score(SCOPE, trace_id, "helpful", 0)
        tracer.score(SCOPE, trace_id, "helpful", 1)
        tracer.score(SCOPE, trace_id, "faithful", 0.5)
        tracer.score(SCOPE, None, "helpful", 1)
    assert [(score.name, score.value) for score in LocalTraces(path).get(SCOPE, trace_id).scores] == [
        ("faithful", 0.5),
        ("helpful", 1.0),
    ]


def test_a_closed_tracer_lets_calls_pass(tracer: Tracer, path: Path) -> None:
    with tracer.observe("ask") as step:
        tracer.close()
        step.update(output="late")
        with tracer.observe("after") as after:
            assert after.trace_id is None
    tracer.score(SCOPE, step.trace_id, "helpful", 1)
    tracer.flush()
    tracer.close()


def test_old_traces_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Tracer(TracingSettings(), path)) as tracer:
        old, young = make(tracer, "old"), make(tracer, "young")
        tracer.score(SCOPE, old, "helpful", 1)
    long_ago = time.time_ns() - 31 * 86_400 * 10**9
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE traces SET start_ns = ? WHERE trace_id = ?", (long_ago, old))
    with closing(Tracer(TracingSettings(keep_days=40), path)) as tracer:
        make(tracer, "new")
    assert [summary.name for summary in recent(path)] == ["new", "young", "old"]
    with closing(Tracer(TracingSettings(), path)) as tracer:
        make(tracer, "newer")
    assert [summary.name for summary in recent(path)] == ["newer", "new", "young"]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM spans WHERE name = 'old'").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM scores").fetchone() == (0,)

    monkeypatch.setattr("llmflow.tracing.exporter.KEEP_TRACES", 2)
    with closing(Tracer(TracingSettings(), path)) as tracer:
        make(tracer, "newest")
    assert [summary.name for summary in recent(path)] == ["newest", "newer"]
    assert young not in [summary.trace_id for summary in recent(path)]


def test_long_texts_are_cut_and_say_so(tracer: Tracer, path: Path) -> None:
    with tracer.observe("ask", input="가" * 10_000) as step:
        step.update(output="나" * 10_001)
    (root,) = only_trace(tracer, path).roots
    assert root.input == "가" * 10_000
    assert root.output == "나" * 10_000 + "… (cut; 10001 characters)"


def test_names_that_are_not_valid_unicode_cost_nothing(tracer: Tracer, path: Path) -> None:
    with tracer.observe("parse", input="\udcff.pdf", file="\udcff.pdf") as step:
        step.update(output={"name": ["\udcff"]}, warning="\udcff")
    (root,) = only_trace(tracer, path).roots
    assert (root.input, root.metadata, root.output, root.message) == (
        "?.pdf",
        {"file": "?.pdf"},
        '{"name": ["?"]}',
        "?",
    )


def test_a_file_that_cannot_be_written_costs_no_call(
    tracer: Tracer, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE spans")
    make(tracer, "ask")
    tracer.flush()
    assert "1 observations are missing from the local traces: no such table: spans" in caplog.text
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM traces").fetchone() == (0,)


def test_a_file_that_is_none_of_ours_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"%PDF-1.7 " * 500)
    with pytest.raises(ConfigurationError, match=r"traces\.db.*not a database"):
        Tracer(TracingSettings(), path)
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigurationError, match="another version"):
        Tracer(TracingSettings(), path)


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


def test_a_program_that_just_ends_keeps_its_traces_and_its_own_telemetry(path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from llmflow.schema import Scope
from llmflow.settings import TracingSettings
from llmflow.tracing import Tracer
tracer = Tracer(TracingSettings(), Path({str(path)!r}))
assert not {{"langfuse", "opentelemetry", "httpx"}} & set(sys.modules), "loaded too early"
with tracer.acting(Scope("회사", ("인사",))), tracer.observe("ask"):
    pass
assert "langfuse" not in sys.modules, "loaded without keys"
from opentelemetry import trace
assert type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider", "the global provider was set"
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert [summary.name for summary in recent(path)] == ["ask"]


def test_within_a_span_of_the_host_program(tracer: Tracer, path: Path) -> None:
    host = TracerProvider(shutdown_on_exit=False).get_tracer("host")
    with host.start_as_current_span("request") as request:
        with tracer.observe("ask"), tracer.observe("retrieve"):
            pass
        make(tracer, "mask")
    trace = only_trace(tracer, path)
    assert int(trace.summary.trace_id, 16) == request.get_span_context().trace_id
    assert [root.name for root in trace.roots] == ["ask", "mask"]
    assert [child.name for child in trace.roots[0].children] == ["retrieve"]


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
