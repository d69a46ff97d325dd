"""Observations as they are made: trees, errors, threads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from recorded import SCOPE, make, only_trace

from llmflow.errors import NotFoundError
from llmflow.settings import TracingSettings
from llmflow.tracing import Tracer, in_current_trace


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


def test_texts_of_errors_and_warnings_are_masked(path: Path) -> None:
    def mask(text: str) -> str:
        if "!" in text:
            raise ValueError(text)
        return text.replace("김민준", "[PERSON]")

    with closing(Tracer(TracingSettings(), path, mask)) as tracer:
        with tracer.acting(SCOPE), tracer.observe("all"):
            for warning in ("김민준 is late", "김민준!", "가" * 5000):
                with tracer.observe("warned") as warned:
                    warned.update(warning=warning, output="김민준")
            with pytest.raises(NotFoundError), tracer.observe("failed"):
                raise NotFoundError("no entity '김민준'")
        (root,) = only_trace(tracer, path).roots
    assert [child.message for child in root.children] == [
        "[PERSON] is late",
        "(hidden: it could not be masked)",
        "가" * 2000 + "… (cut; 5000 characters)",
        "not_found: no entity '[PERSON]'",
    ]
    assert root.children[0].output == "김민준"  # callers mask it


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


def test_switched_off_nothing_is_recorded(path: Path) -> None:
    tracer = Tracer(TracingSettings(enabled=False), path)
    with tracer.observe("ask", input="q", k=1) as step:
        step.update(output="a", warning="w")
        assert step.trace_id is None
    tracer.score(SCOPE, step.trace_id, "helpful", 1)
    tracer.flush()
    tracer.close()
    assert not path.exists()


def test_a_closed_tracer_lets_calls_pass(tracer: Tracer, path: Path) -> None:
    with tracer.observe("ask") as step:
        tracer.close()
        step.update(output="late")
        with tracer.observe("after") as after:
            assert after.trace_id is None
    tracer.score(SCOPE, step.trace_id, "helpful", 1)
    tracer.flush()
    tracer.close()


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
