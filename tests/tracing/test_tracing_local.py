"""The file that traces are kept in."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from recorded import SCOPE, make, recent

from llmflow.errors import ConfigurationError, InvalidInputError, NotFoundError
from llmflow.settings import TracingSettings
from llmflow.tracing import LocalTraces, Tracer


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
