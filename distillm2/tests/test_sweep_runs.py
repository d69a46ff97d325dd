"""A real sweep on the tiny models: killed, failed, gone on with; its report; its runs in MLflow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from training_runs import TrainingRun, run_distillm2, training_environment, training_settings

FAILING = 5.0  # no valid alpha: the training refuses it
WORKING = 0.2
PROCESSES = ("supervisor", "distillm2 train", "torchrun", "torchrun's worker")  # of one trial


@dataclass(frozen=True)
class SweepRuns:
    """A sweep over two values of alpha, called three times: killed under torchrun, then for one trial, then for two."""

    config: Path
    output: Path
    store: str
    begun: int
    orphans: list[str]
    first: TrainingRun
    second: TrainingRun


@pytest.fixture(scope="module")
def sweeps(student: Path, teacher: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> SweepRuns:
    folder = tmp_path_factory.mktemp("sweep")
    config, output = folder / "x.yaml", folder / "alphas"
    settings = training_settings(
        student, pairs, folder / "unused", teacher, max_steps=2, val_size=0.25, report_to="mlflow", plot_loss=True
    )
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    (folder / "space.yaml").write_text(f"distill_alpha: [{FAILING}, {WORKING}]\n", encoding="utf-8")
    store = f"sqlite:///{folder / 'mlflow.db'}"
    # With these draws the failing value comes first and the working one after it.
    arguments = ["sweep", str(config), "--space", str(folder / "space.yaml"), "--sampler", "random", "--seed", "6"]
    arguments += ["--output", str(output), "--trials"]
    environment = {"MLFLOW_TRACKING_URI": store, "COLUMNS": "200"}
    killed = subprocess.Popen(
        [sys.executable, "-m", "distillm2", *arguments, "1"],
        env=training_environment(**environment, FORCE_TORCHRUN="1", NPROC_PER_NODE="1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    trial = output / "trials" / "0000" / "train.yaml"
    _wait_for(lambda: len(_processes(str(trial))) == len(PROCESSES), seconds=240)
    begun = len(_processes(str(trial)))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    _wait_for(lambda: not _processes(str(trial)), seconds=30)
    return SweepRuns(
        config,
        output,
        store,
        begun,
        _processes(str(trial)),
        run_distillm2(*arguments, "1", folder=output, environment=environment, timeout=900),
        run_distillm2(*arguments, "2", folder=output, environment=environment, timeout=900),
    )


def test_a_killed_sweep_leaves_no_training_behind(sweeps: SweepRuns) -> None:
    assert sweeps.begun == len(PROCESSES)
    assert sweeps.orphans == []


def test_a_killed_trial_is_repeated_with_its_parameters(sweeps: SweepRuns) -> None:
    first, repeated = (_settings(sweeps.output / "trials" / f"{number:04d}") for number in (0, 1))
    assert first["distill_alpha"] == repeated["distill_alpha"] == FAILING
    rows = _rows(sweeps.output)
    assert [row["number"] for row in rows] == [1, 2]
    assert rows[0]["repeats"] == 0


def test_when_every_trial_failed_the_error_shows_the_end_of_the_log(sweeps: SweepRuns) -> None:
    assert sweeps.first.returncode == 1
    assert "error: all 1 trials failed" in sweeps.first.output
    assert "distill_alpha is 5.0; allowed are numbers between 0 and 1" in sweeps.first.output


def test_more_trials_are_added_to_those_there_are(sweeps: SweepRuns) -> None:
    assert sweeps.second.returncode == 0, sweeps.second.output
    failed, good = _rows(sweeps.output)
    assert failed["value"] is None
    assert "distill_alpha is 5.0" in failed["failure"]
    assert good["parameters"] == {"distill_alpha": WORKING}
    assert good["value"] == good["metrics"]["eval_kl"] > 0
    assert "trial 1" not in sweeps.second.output.split("eval_kl")[0]


def test_the_best_settings_are_those_of_the_best_trial_and_the_users(sweeps: SweepRuns) -> None:
    best = yaml.safe_load((sweeps.output / "best.yaml").read_text(encoding="utf-8"))
    given = yaml.safe_load(sweeps.config.read_text(encoding="utf-8"))
    assert best == {**given, "distill_alpha": WORKING, "output_dir": str(sweeps.output / "best")}
    adapter = sweeps.output / "trials" / "0002" / "adapter"
    assert (adapter / "adapter_model.safetensors").is_file()
    assert f"best adapter: {adapter}" in sweeps.second.output


def test_the_table_and_the_plot_show_the_trials(sweeps: SweepRuns) -> None:
    assert "lower is better" in sweeps.second.output
    lines = [line for line in sweeps.second.output.splitlines() if "│" in line]
    assert "best" in lines[0]
    assert "failed" in lines[1]
    png = (sweeps.output / "sweep.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert len(png) > 10_000


def test_trials_are_children_of_one_mlflow_run_with_parameters_and_metrics(sweeps: SweepRuns) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=sweeps.store)
    experiment = client.get_experiment_by_name("distillm2")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"alphas", "alphas-0002"}
    parent, child = runs["alphas"], runs["alphas-0002"]
    assert {parent.info.status, child.info.status} == {"FINISHED"}
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.tags["trial"] == "2"
    assert parent.data.tags["distill_alpha"] == str(WORKING)
    assert parent.data.metrics["best_eval_kl"] == _rows(sweeps.output)[1]["value"]
    for name, value in (
        ("distill_alpha", "0.2"),
        ("lora_rank", "4"),
        ("learning_rate", "0.01"),
        ("dataset", "['pairs']"),
    ):
        assert child.data.params[name] == value
    wanted = {
        "loss",
        "grad_norm",
        "learning_rate",
        "distill/skl",
        "distill/srkl",
        "distill/beta",
        "eval_loss",
        "eval_kl",
    }
    assert wanted <= set(child.data.metrics)
    assert child.data.metrics["eval_kl"] == pytest.approx(_rows(sweeps.output)[1]["value"])
    assert len(client.get_metric_history(child.info.run_id, "loss")) == 2


def _settings(folder: Path) -> dict[str, object]:
    settings: dict[str, object] = yaml.safe_load((folder / "train.yaml").read_text(encoding="utf-8"))
    return settings


def _rows(output: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (output / "trials.jsonl").read_text(encoding="utf-8").splitlines()]


def _processes(argument: str) -> list[str]:
    """The ids of processes that have the argument."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if argument.encode() in words and path.parent.name != str(os.getpid()):
            found.append(path.parent.name)
    return found


def _wait_for(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
