from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from llmflow.retrieval.clock import Clock
from llmflow.retrieval.running import LegRunner
from llmflow.settings import TracingSettings
from llmflow.stores.index import LegScores
from llmflow.tracing import Tracer


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(Tracer(TracingSettings(enabled=False), tmp_path / "traces.db"))


def found() -> LegScores:
    return LegScores(np.ones(1, np.float32), 1.0)


def test_a_leg_that_hangs_is_left_out_and_named(clock: Clock) -> None:
    released = threading.Event()

    def hangs() -> LegScores:
        released.wait(60)
        return found()

    runner = LegRunner(timeout_s=0.2)
    scores, degradations = runner.run({"slow": hangs, "quick": found}, clock)
    released.set()
    runner.close()
    assert list(scores) == ["quick"]
    assert [(each.stage, "retrieval.leg_timeout_s=0.2" in each.reason) for each in degradations] == [("slow", True)]


def test_hanging_legs_of_one_question_do_not_hold_up_the_next(clock: Clock) -> None:
    released = threading.Event()

    def hangs() -> LegScores:
        released.wait(60)
        return found()

    runner = LegRunner(timeout_s=0.2)
    for _ in range(3):
        runner.run({f"slow {number}": hangs for number in range(4)}, clock)
    scores, degradations = runner.run({f"quick {number}": found for number in range(4)}, clock)
    released.set()
    runner.close()
    assert len(scores) == 4
    assert degradations == []


def test_a_leg_that_fails_is_named_with_its_reason(clock: Clock) -> None:
    def fails() -> LegScores:
        raise RuntimeError("the graph is away")

    runner = LegRunner(timeout_s=5)
    scores, degradations = runner.run({"graph": fails, "quick": found}, clock)
    runner.close()
    assert list(scores) == ["quick"]
    assert [(each.stage, each.reason) for each in degradations] == [("graph", "RuntimeError: the graph is away")]
    assert "quick" in clock.timings


def test_a_leg_that_always_hangs_is_left_out_at_once_until_it_comes_back(clock: Clock) -> None:
    released = threading.Event()

    def hangs() -> LegScores:
        released.wait(60)
        return found()

    runner = LegRunner(timeout_s=0.1)
    for _ in range(20):
        scores, degradations = runner.run({"slow": hangs, **{f"quick {number}": found for number in range(6)}}, clock)
        assert len(scores) == 6, "legs of other names have threads of their own"
        assert [each.stage for each in degradations] == ["slow"]
    assert "left out" in degradations[0].reason
    assert sum(thread.name.startswith("leg-slow") for thread in threading.enumerate()) <= 4
    released.set()
    runner._pools["slow"].shutdown(wait=True)
    assert runner._hanging["slow"] == 0
    runner.close()


def test_a_late_leg_changes_nothing_in_what_was_given_out(clock: Clock) -> None:
    released = threading.Event()

    def late() -> LegScores:
        released.wait(60)
        return found()

    runner = LegRunner(timeout_s=0.1)
    runner.run({"late": late}, clock)
    timings = clock.timings
    released.set()
    runner._pools["late"].shutdown(wait=True)
    assert "late" not in timings
    assert "late" in clock.timings
