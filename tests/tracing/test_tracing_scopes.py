"""Whose traces are whose: scopes, callers' trace ids, scores, generators."""

from __future__ import annotations

import contextvars
import logging
import sqlite3
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider

from llmflow.errors import LLMFlowError, NotFoundError
from llmflow.schema import Scope
from llmflow.settings import TracingSettings
from llmflow.tracing import LocalTraces, TraceNode, Tracer, in_current_trace, in_own_context

HR = Scope("회사", ("인사",), "key:1")
HR_COLLEAGUE = Scope("회사", ("인사",), "key:2")
BOTH = Scope("회사", ("재무", "인사"), "key:3")
FINANCE = Scope("회사", ("재무",), "key:4")
STRANGER = Scope("남의회사", ("인사", "재무"), "key:1")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "traces.db"


@pytest.fixture
def tracer(path: Path) -> Iterator[Tracer]:
    with closing(Tracer(TracingSettings(), path)) as opened:
        yield opened


@pytest.fixture
def traces(path: Path) -> LocalTraces:
    return LocalTraces(path)


def make(tracer: Tracer, scope: Scope, name: str, traceparent: str | None = None) -> str:
    with tracer.acting(scope, traceparent), tracer.observe(name, input=f"{name}?") as step:
        assert step.trace_id is not None
    tracer.flush(local=True)
    return step.trace_id


def names(traces: LocalTraces, scope: Scope, *, own: bool = False) -> list[str]:
    return [summary.name for summary in traces.recent(scope, own=own)]


def error_of(traces: LocalTraces, scope: Scope, id: str, *, own: bool = False) -> dict[str, object]:
    with pytest.raises(LLMFlowError) as caught:
        traces.get(scope, id, own=own)
    return caught.value.to_dict()


def paths(nodes: tuple[TraceNode, ...], above: str = "") -> list[str]:
    return [path for node in nodes for path in (f"{above}{node.name}", *paths(node.children, f"{above}{node.name}/"))]


# Who sees what


def test_a_trace_is_seen_by_scopes_that_may_read_all_of_its_departments(tracer: Tracer, traces: LocalTraces) -> None:
    make(tracer, HR, "인사 질문")
    both = make(tracer, BOTH, "모두")
    make(tracer, FINANCE, "재무 질문")
    assert names(traces, HR) == names(traces, HR_COLLEAGUE) == ["인사 질문"]
    assert names(traces, FINANCE) == ["재무 질문"]
    assert (
        names(traces, BOTH)
        == names(traces, Scope("회사", ("인사", "재무", "영업")))
        == ["재무 질문", "모두", "인사 질문"]
    )
    for other in (STRANGER, Scope("회사", ()), Scope("회", ("인사", "재무")), Scope("", ("인사", "재무"))):
        assert names(traces, other) == []
    assert traces.get(BOTH, both).summary.name == "모두"


def test_own_leaves_the_users_traces(tracer: Tracer, traces: LocalTraces) -> None:
    mine, theirs = make(tracer, HR, "내 질문"), make(tracer, HR_COLLEAGUE, "동료 질문")
    make(tracer, Scope("회사", ("인사",)), "이름 없이")
    assert names(traces, HR, own=True) == ["내 질문"]
    assert names(traces, Scope("회사", ("인사",)), own=True) == ["이름 없이"]
    assert traces.get(HR, mine, own=True).summary.trace_id == mine
    assert traces.get(HR, theirs).summary.trace_id == theirs
    with pytest.raises(NotFoundError):
        traces.get(HR, theirs, own=True)


def test_what_nobody_is_named_for_is_seen_by_nobody(tracer: Tracer, traces: LocalTraces) -> None:
    with tracer.observe("train") as step:
        pass
    tracer.flush()
    assert names(traces, Scope("", ())) == names(traces, HR) == []
    assert error_of(traces, Scope("", ()), str(step.trace_id))["code"] == "not_found"


def test_a_foreign_id_is_an_unknown_id(tracer: Tracer, traces: LocalTraces) -> None:
    theirs = make(tracer, STRANGER, "남의 질문")
    colleague = make(tracer, HR_COLLEAGUE, "동료 질문")
    unknown = uuid.uuid4().hex
    for id, own in ((theirs, False), (theirs[:8], False), (colleague, True)):
        expected = error_of(traces, HR, unknown, own=own)
        assert error_of(traces, HR, id, own=own) == {
            **expected, "message": str(expected["message"]).replace(unknown, id)
        }  # fmt: skip


def test_a_prefix_is_unique_among_what_one_sees(tracer: Tracer, traces: LocalTraces) -> None:
    near, far = "ab" + "0" * 29 + "1", "ab" + "0" * 29 + "2"
    make(tracer, HR, "내 질문", f"00-{near}-{PARENT}-01")
    make(tracer, STRANGER, "남의 질문", f"00-{far}-{PARENT}-01")
    assert traces.get(HR, "ab").summary.trace_id == near
    assert traces.get(STRANGER, "AB").summary.trace_id == far


def test_marks_go_into_threads_and_end_with_the_context(tracer: Tracer, traces: LocalTraces) -> None:
    def leg(name: str) -> None:
        with tracer.observe(name):
            pass

    with tracer.acting(HR):
        with tracer.observe("retrieve"), ThreadPoolExecutor(2) as pool:
            list(pool.map(in_current_trace(leg), ("bm25", "dense")))
        with tracer.acting(FINANCE):
            leg("inner")
        leg("after")
    leg("outside")
    tracer.flush()
    assert names(traces, HR) == ["after", "retrieve"]
    assert sorted(paths(traces.get(HR, traces.recent(HR)[1].trace_id).roots)) == [
        "retrieve", "retrieve/bm25", "retrieve/dense"
    ]  # fmt: skip
    assert names(traces, FINANCE) == ["inner"]


# Trace ids of callers


def test_a_callers_trace_goes_on(tracer: Tracer, traces: LocalTraces, path: Path) -> None:
    assert make(tracer, HR, "ask", TRACEPARENT) == TRACE
    trace = traces.get(HR, TRACE)
    assert (trace.summary.name, trace.summary.input, [root.name for root in trace.roots]) == ("ask", "ask?", ["ask"])
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT parent_id FROM spans").fetchall() == [(PARENT,)]


def test_it_wins_over_the_trace_of_the_host_program(tracer: Tracer) -> None:
    host = TracerProvider(shutdown_on_exit=False).get_tracer("host")
    with host.start_as_current_span("request") as span:
        assert make(tracer, HR, "ask", TRACEPARENT) == TRACE
        assert int(make(tracer, HR, "ask"), 16) == span.get_span_context().trace_id


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "x",
        "00-" + "a" * 10_000,
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01-x",
        f"00-{TRACE}-{PARENT}-01\r\nX: y",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
    ],
)
def test_an_invalid_one_is_ignored(tracer: Tracer, traces: LocalTraces, traceparent: str) -> None:
    with tracer.acting(HR), tracer.observe("outer") as outer:
        inner = make(tracer, HR, "ask", traceparent)
    assert inner == outer.trace_id != TRACE


def test_two_tenants_under_one_trace_id_stay_apart(tracer: Tracer, traces: LocalTraces) -> None:
    make(tracer, STRANGER, "남의 비밀", TRACEPARENT)
    make(tracer, HR, "첫 질문", TRACEPARENT)
    with pytest.raises(ValueError, match="boom"), tracer.acting(FINANCE, TRACEPARENT), tracer.observe("재무 비밀"):
        raise ValueError("boom")
    make(tracer, HR, "둘째 질문", TRACEPARENT)

    seen = traces.get(HR, TRACE)
    assert paths(seen.roots) == ["첫 질문", "둘째 질문"]
    assert (seen.summary.name, seen.summary.observations, seen.summary.errors) == ("첫 질문", 2, 0)
    assert seen.roots[0].offset_ms == 0
    assert traces.recent(HR) == (seen.summary,)
    assert paths(traces.get(STRANGER, TRACE).roots) == ["남의 비밀"]
    everything = traces.get(BOTH, TRACE)
    assert paths(everything.roots) == ["첫 질문", "재무 비밀", "둘째 질문"]
    assert (everything.summary.observations, everything.summary.errors) == (3, 1)
    assert everything.summary.duration_ms >= seen.summary.duration_ms


# Scores


def test_a_score_lands_only_on_a_trace_of_the_scope(tracer: Tracer, traces: LocalTraces) -> None:
    trace_id = make(tracer, HR, "질문")
    unknown = uuid.uuid4().hex
    for scope, own in ((STRANGER, False), (FINANCE, False), (HR_COLLEAGUE, True)):
        with pytest.raises(NotFoundError) as foreign:
            tracer.score(scope, trace_id, "helpful", -1, own=own)
        with pytest.raises(NotFoundError) as absent:
            tracer.score(scope, unknown, "helpful", -1, own=own)
        assert foreign.value.message.replace(trace_id, unknown) == absent.value.message
    assert traces.get(HR, trace_id).scores == ()
    tracer.score(HR_COLLEAGUE, trace_id, "helpful", 0)
    tracer.score(HR, trace_id.upper(), "helpful", 1, own=True)
    assert [(score.name, score.value) for score in traces.get(BOTH, trace_id).scores] == [("helpful", 1)]


def test_scores_under_one_trace_id_stay_apart(tracer: Tracer, traces: LocalTraces) -> None:
    make(tracer, HR, "질문", TRACEPARENT)
    make(tracer, STRANGER, "남의 질문", TRACEPARENT)
    tracer.score(STRANGER, TRACE, "helpful", -1)
    assert traces.get(HR, TRACE).scores == ()
    assert [score.value for score in traces.get(STRANGER, TRACE).scores] == [-1]


def test_an_answer_can_be_judged_at_once(tracer: Tracer, traces: LocalTraces) -> None:
    with tracer.acting(HR), tracer.observe("ask") as step:
        pass
    tracer.score(HR, step.trace_id, "helpful", 1)
    assert [score.value for score in traces.get(HR, str(step.trace_id)).scores] == [1]


# Keeping


def test_nobody_drives_out_the_traces_of_another(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmflow.tracing.exporter.KEEP_TRACES", 3)
    with closing(Tracer(TracingSettings(), path)) as tracer:
        make(tracer, HR, "질문")
    for _ in range(2):
        with closing(Tracer(TracingSettings(), path)) as tracer, tracer.acting(STRANGER):
            for number in range(10):
                with tracer.observe(f"{number}"):
                    pass
    assert names(LocalTraces(path), HR) == ["질문"]
    assert names(LocalTraces(path), STRANGER) == ["9", "8", "7"]


def test_a_span_with_very_many_values_stays_with_its_tenant(tracer: Tracer, traces: LocalTraces) -> None:
    with tracer.acting(HR), tracer.observe("ask") as step:
        step.update(metadata={f"value{number}": number for number in range(500)})
    tracer.flush()
    (root,) = traces.get(HR, str(step.trace_id)).roots
    assert len(root.metadata) == 500


def test_values_json_cannot_hold_fail_no_step(tracer: Tracer, traces: LocalTraces) -> None:
    endless: list[object] = []
    endless.append(endless)
    with tracer.acting(HR), tracer.observe("ask", input={("a", 1): 2}, path=Path("x.pdf"), nothing=None) as step:
        step.update(output=endless, metadata={"score": float("nan")})
    tracer.flush()
    (root,) = traces.get(HR, str(step.trace_id)).roots
    assert root.metadata == {"path": "x.pdf", "score": "nan"}
    assert root.input == "\"{('a', 1): 2}\""
    assert root.output == '"[[...]]"'


def test_the_file_of_an_earlier_version_is_replaced(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """
            CREATE TABLE traces (trace_id TEXT PRIMARY KEY, name TEXT, start_ns INTEGER);
            CREATE TABLE spans (trace_id TEXT REFERENCES traces ON DELETE CASCADE, span_id TEXT);
            CREATE TABLE scores (trace_id TEXT, name TEXT);
            INSERT INTO traces VALUES ('ab', 'old', 1);
            INSERT INTO spans VALUES ('ab', 'cd');
            PRAGMA user_version = 1;
            """
        )
    assert LocalTraces(path).recent(HR) == ()
    assert error_of(LocalTraces(path), HR, "ab")["code"] == "not_found"
    with closing(Tracer(TracingSettings(), path)) as tracer:
        assert "earlier version without tenants, and are deleted" in caplog.text
        make(tracer, HR, "새 질문")
    assert names(LocalTraces(path), HR) == ["새 질문"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM spans").fetchone() == (1,)


# Generators


class Streaming:
    """What a server streams: a trace that stays open from the first event to the last."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.ids: dict[str, str | None] = {}

    @in_own_context
    def ask(self, scope: Scope, name: str) -> Iterator[str]:
        with self.tracer.acting(scope), self.tracer.observe(name) as trace:
            self.ids[name] = trace.trace_id
            for number in range(3):
                with self.tracer.observe(f"{name}.{number}"):
                    yield f"{name}{number}"


def whole(name: str) -> list[str]:
    return [name, *(f"{name}/{name}.{number}" for number in range(3))]


def test_generators_taken_in_turns_do_not_mix(tracer: Tracer, traces: LocalTraces) -> None:
    streaming = Streaming(tracer)
    first, second = streaming.ask(HR, "a"), streaming.ask(STRANGER, "b")
    with tracer.acting(FINANCE):
        taken = [value for pair in zip(first, second, strict=True) for value in pair]
        with tracer.observe("mine"):
            pass
    assert taken == ["a0", "b0", "a1", "b1", "a2", "b2"]
    tracer.flush()
    assert streaming.ids["a"] != streaming.ids["b"]
    assert paths(traces.get(HR, str(streaming.ids["a"])).roots) == whole("a")
    assert paths(traces.get(STRANGER, str(streaming.ids["b"])).roots) == whole("b")
    assert names(traces, FINANCE) == ["mine"]


def test_generators_are_taken_in_any_thread(
    tracer: Tracer, traces: LocalTraces, caplog: pytest.LogCaptureFixture
) -> None:
    streaming = Streaming(tracer)
    streams = [streaming.ask(HR, name) for name in "abcd"]

    def take(stream: Iterator[str]) -> str:
        return contextvars.copy_context().run(lambda: next(stream, "end"))

    threads = [ThreadPoolExecutor(1) for _ in streams]
    for turn in range(4):
        # Each stream is in another thread than the turn before, and all of them at once.
        taking = [threads[(turn + number) % 4].submit(take, stream) for number, stream in enumerate(streams)]
        last = [future.result(10) for future in taking]
    for thread in threads:
        thread.shutdown()
    assert last == ["end"] * 4
    tracer.flush()
    for name in "abcd":
        assert paths(traces.get(HR, str(streaming.ids[name])).roots) == whole(name)
    assert caplog.records == []


def test_a_stream_nobody_finishes_ends_its_trace(
    tracer: Tracer, traces: LocalTraces, caplog: pytest.LogCaptureFixture
) -> None:
    streaming = Streaming(tracer)
    closed, dropped = streaming.ask(HR, "closed"), streaming.ask(HR, "dropped")
    next(closed), next(dropped)
    closed.close()
    with pytest.raises(StopIteration):
        next(closed)
    del dropped
    unused = streaming.ask(HR, "unused")
    unused.close()
    tracer.flush()
    for name in ("closed", "dropped"):
        assert paths(traces.get(HR, str(streaming.ids[name])).roots) == [name, f"{name}/{name}.0"]
    assert "unused" not in streaming.ids
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_an_error_thrown_in_or_raised_within_comes_out(tracer: Tracer, traces: LocalTraces) -> None:
    streaming = Streaming(tracer)
    stream = streaming.ask(HR, "a")
    next(stream)
    with pytest.raises(NotFoundError):
        stream.throw(NotFoundError("gone"))
    tracer.flush()
    (root,) = traces.get(HR, str(streaming.ids["a"])).roots
    assert (root.level, root.message) == ("ERROR", "not_found: gone")
