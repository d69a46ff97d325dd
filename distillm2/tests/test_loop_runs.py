"""A real loop of two epochs on the tiny models with LLaMA-Factory's own server; killed in between and gone on with."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from loop_students import make_talking_student
from training_runs import TrainingRun, run_distillm2, training_environment, training_settings


@dataclass(frozen=True)
class LoopRuns:
    """A loop that was killed when the first epoch's student had answered, and the call that finished it."""

    output: Path
    sampled_before_kill: str
    state_at_kill: dict[str, Any]
    finished: TrainingRun


@pytest.fixture(scope="module")
def loops(teacher: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> LoopRuns:
    folder = tmp_path_factory.mktemp("loop")
    student = make_talking_student(folder / "student")
    rows = json.loads((pairs / "pairs.json").read_text(encoding="utf-8"))
    responses = folder / "teacher.jsonl"
    lines = [json.dumps({"prompt": row["instruction"], "response": row["chosen"]}, ensure_ascii=False) for row in rows]
    responses.write_text("\n".join(lines) + "\n", encoding="utf-8")
    output = folder / "run"
    settings = training_settings(
        student,
        pairs,
        output,
        teacher,
        max_steps=None,
        val_size=0.3,
        learning_rate=1e-3,
        lr_scheduler_type="cosine",
        distill_beta_schedule="reference",
    )
    config = folder / "x.yaml"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    arguments = ["loop", str(config), "--teacher", str(responses), "--epochs", "2", "--max-tokens", "48"]
    state, sampled = output / "loop.json", output / "epoch-1" / "student.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "distillm2", *arguments],
        env=training_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 600
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = (sampled.read_text(encoding="utf-8"), json.loads(state.read_text(encoding="utf-8")))
    return LoopRuns(output, *before, run_distillm2(*arguments, folder=output, timeout=900))


def test_a_killed_loop_goes_on_at_its_step(loops: LoopRuns) -> None:
    assert loops.finished.returncode == 0, loops.finished.output
    assert "1.sample" in loops.state_at_kill["done"]
    assert "epoch 1/2: sampling" not in loops.finished.output
    assert (loops.output / "epoch-1" / "student.jsonl").read_text(encoding="utf-8") == loops.sampled_before_kill
    state = json.loads((loops.output / "loop.json").read_text(encoding="utf-8"))
    assert list(state["done"]) == [f"{epoch}.{step}" for epoch in (1, 2) for step in ("sample", "pair", "train")]


def test_the_students_responses_are_drawn_anew_and_the_teachers_kept(loops: LoopRuns) -> None:
    first, second = (_pairs(loops.output, epoch) for epoch in (1, 2))
    shared = first.keys() & second.keys()
    assert len(shared) >= 8
    assert all(first[prompt]["chosen"] == second[prompt]["chosen"] for prompt in shared)
    assert any(first[prompt]["rejected"] != second[prompt]["rejected"] for prompt in shared)


def test_the_second_epoch_samples_and_trains_the_first_ones_adapter(loops: LoopRuns) -> None:
    trained = str(loops.output / "epoch-1" / "trained")
    assert "adapter_name_or_path" not in _yaml(loops.output / "epoch-1" / "serve.yaml")
    assert _yaml(loops.output / "epoch-2" / "serve.yaml")["adapter_name_or_path"] == trained
    assert _yaml(loops.output / "epoch-2" / "train.yaml")["adapter_name_or_path"] == trained
    assert f"the student after 2 epochs: {loops.output / 'epoch-2' / 'trained'}" in loops.finished.output


def test_learning_rate_and_beta_follow_one_schedule_over_both_epochs(loops: LoopRuns) -> None:
    first, second = (_training_log(loops.output, epoch) for epoch in (1, 2))
    rates = [row["learning_rate"] for row in first + second]
    steps = len(rates)
    assert rates == pytest.approx([0.5e-3 * (1 + math.cos(math.pi * step / steps)) for step in range(steps)])
    betas = [row["distill/beta"] for row in first + second]
    assert betas == sorted(betas)
    assert (betas[0], betas[-1]) == (1.0, 1.5)


def test_held_out_prompts_are_the_same_in_both_epochs(loops: LoopRuns) -> None:
    first, second = (_pairs(loops.output, epoch, "pairs_validation") for epoch in (1, 2))
    assert first.keys() & second.keys()
    assert not (first.keys() | second.keys()) & (_pairs(loops.output, 1).keys() | _pairs(loops.output, 2).keys())
    state = json.loads((loops.output / "loop.json").read_text(encoding="utf-8"))
    assert state["done"]["2.train"]["metrics"]["eval_kl"] > 0


def _pairs(output: Path, epoch: int, name: str = "pairs") -> dict[str, dict[str, Any]]:
    rows = json.loads((output / f"epoch-{epoch}" / "pairs" / f"{name}.json").read_text(encoding="utf-8"))
    return {row["instruction"]: row for row in rows}


def _yaml(path: Path) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return settings


def _training_log(output: Path, epoch: int) -> list[dict[str, Any]]:
    lines = (output / f"epoch-{epoch}" / "trained" / "distill_log.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [row for row in rows if "distill/beta" in row]
