"""What is set up for MLflow, and what is left as the user has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from distillm2.experiments import tracking

NAMES = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "MLFLOW_TAGS")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without MLflow's variables, restored in the end, and a working directory of its own."""
    for name in NAMES:
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("report_to", ["mlflow", ["tensorboard", "mlflow"], "tensorboard,mlflow"])
def test_the_store_is_a_file_in_the_working_directory(tmp_path: Path, report_to: object) -> None:
    tracking.prepare({"report_to": report_to})
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert os.environ["MLFLOW_EXPERIMENT_NAME"] == "distillm2"


@pytest.mark.parametrize("settings", [{}, {"report_to": "none"}, {"report_to": ["wandb"]}, {"report_to": None}])
def test_nothing_is_set_for_others(settings: dict[str, object]) -> None:
    tracking.prepare(settings)
    assert not set(NAMES) & os.environ.keys()


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    monkeypatch.setenv("MLFLOW_TAGS", '{"team": "nlp"}')
    tracking.prepare({"report_to": "mlflow"})
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://mlflow.example:5000"
    assert os.environ["MLFLOW_EXPERIMENT_NAME"] == "mine"
    tags = json.loads(tracking.child_environment("abc", trial="3")["MLFLOW_TAGS"])
    assert tags == {"team": "nlp", "mlflow.parentRunId": "abc", "trial": "3"}


def test_gpu_metrics_are_logged_where_there_is_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    tracking.prepare({"report_to": "mlflow"})
    told = "pip install nvidia-ml-py" in capsys.readouterr().err
    assert told != (os.environ.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING") == "true")


def test_looking_at_the_settings_imports_nothing_heavy() -> None:
    code = (
        "import sys; from distillm2.experiments import tracking; tracking.prepare({'report_to': 'mlflow'}); "
        "print([name for name in ('mlflow', 'torch', 'transformers', 'optuna') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
