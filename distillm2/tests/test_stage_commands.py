"""The command line as users type it: help, settings from files and flags, a kill and its resumption, export."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file
from training_runs import TrainingRun, as_flags, run_distillm2, train, training_environment, training_settings

from distillm2.cli.settings import read_settings
from distillm2.errors import DistillationError

LONG: dict[str, Any] = {"max_steps": 48, "save_strategy": "steps", "save_steps": 8, "logging_steps": 3}


@pytest.fixture(scope="module")
def uninterrupted(student: Path, teacher: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    """A training from YAML with an override."""
    output = tmp_path_factory.mktemp("whole") / "run"
    settings = training_settings(student, pairs, output, teacher, **LONG | {"learning_rate": 1.0})
    return train(settings, "learning_rate=0.002", "distill_beta_schedule=reference")


def run_quickly(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=training_environment(**environment),
        check=False,
    )


def test_help_lists_both_kinds_of_commands() -> None:
    done = run_quickly("-m", "distillm2", "--help", COLUMNS="160")
    assert done.returncode == 0
    for line in (
        "train       Train from a YAML or flags",
        "webui       LlamaBoard in the browser",
        "export      Merge an adapter",
    ):
        assert line in done.stdout
    for command in ("generate", "pairs", "synthesize", "cache", "plan", "loop", "sweep", "licence"):
        assert f"│ {command} " in done.stdout


def test_the_command_line_starts_without_heavy_imports() -> None:
    program = (
        "import sys; from distillm2.cli.main import build_app; build_app();"
        "print([name for name in ('torch', 'transformers', 'llamafactory', 'mlflow', 'optuna', 'matplotlib')"
        " if name in sys.modules])"
    )
    assert run_quickly("-c", program).stdout.strip() == "[]"


def test_an_environment_for_another_trainer_is_refused_at_once() -> None:
    done = run_quickly("-m", "distillm2", "train", "x.yaml", USE_V1="1")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("Unset USE_V1.")
    assert "Traceback" not in done.stderr


def test_training_from_yaml_with_overrides(uninterrupted: TrainingRun) -> None:
    lines = uninterrupted.read_log("distill_log.jsonl")
    assert [line["current_steps"] for line in lines] == list(range(3, 49, 3))
    assert lines[0]["learning_rate"] == pytest.approx(0.002)
    assert lines[-1]["distill/beta"] == pytest.approx(1.5)
    assert lines[-1]["distill/srkl"] < 0.9 * lines[0]["distill/srkl"]
    assert [line["loss"] for line in uninterrupted.read_log() if "loss" in line] == [line["loss"] for line in lines]
    assert (uninterrupted.folder / "adapter_model.safetensors").is_file()


def test_a_killed_training_resumes_to_the_same_end(
    uninterrupted: TrainingRun, student: Path, teacher: Path, pairs: Path, tmp_path: Path
) -> None:
    """From flags; the checkpoint lies within a logging window and the anchor of alpha in an earlier one."""
    settings = training_settings(student, pairs, tmp_path / "run", teacher, **LONG)
    flags = as_flags(settings | {"learning_rate": 0.002, "distill_beta_schedule": "reference"})
    kill_at_checkpoint(flags, tmp_path / "run", 16)
    assert not (tmp_path / "run" / "adapter_model.safetensors").exists()

    resumed = run_distillm2("train", *flags, folder=tmp_path / "run")
    assert resumed.returncode == 0, resumed.output[-4000:]
    assert "Resuming training from" in resumed.output

    ours, theirs = (load_file(run.folder / "adapter_model.safetensors") for run in (resumed, uninterrupted))
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert (ours[name] == theirs[name]).all(), name
    lines = [run.read_log("distill_log.jsonl") for run in (resumed, uninterrupted)]
    for line in lines[0] + lines[1]:
        if line["current_steps"] == 18:
            del line["loss"]  # transformers forgets its own sum at a checkpoint
    assert lines[0] == lines[1]
    assert min(line["distill/alpha_teacher"] for line in lines[0]) < 0.09


def kill_at_checkpoint(flags: Sequence[str], output: Path, step: int) -> None:
    """Start a training and kill it as soon as the checkpoint is complete."""
    process = subprocess.Popen(
        [sys.executable, "-m", "distillm2", "train", *flags],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=training_environment(),
    )
    written_last = output / f"checkpoint-{step}" / "trainer_state.json"
    while not written_last.exists() and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -9, "the training ended before it could be killed"


def test_the_trained_adapter_is_exported(uninterrupted: TrainingRun, student: Path, tmp_path: Path) -> None:
    path = tmp_path / "merge.yaml"
    settings = {
        "model_name_or_path": str(student),
        "adapter_name_or_path": str(uninterrupted.folder),
        "template": "qwen",
        "export_dir": str(tmp_path / "merged"),
        "infer_dtype": "float32",
    }
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    run = run_distillm2("export", str(path), folder=tmp_path / "merged")
    assert run.returncode == 0, run.output[-4000:]
    merged, before = load_file(tmp_path / "merged" / "model.safetensors"), load_file(student / "model.safetensors")
    adapter = load_file(uninterrupted.folder / "adapter_model.safetensors")
    name = "model.layers.0.self_attn.q_proj"
    update = adapter[f"base_model.model.{name}.lora_B.weight"] @ adapter[f"base_model.model.{name}.lora_A.weight"]
    difference = merged[f"{name}.weight"] - before[f"{name}.weight"] - 2 * update  # lora_alpha is twice the rank
    assert float(difference.abs().max()) < 1e-5
    assert float(update.abs().max()) > 1e-4


def test_a_mistake_in_the_settings_ends_with_one_line(student: Path, pairs: Path, tmp_path: Path) -> None:
    settings = training_settings(student, pairs, tmp_path / "run", teacher_cache="", distill_alpha=2.0)
    run = train(settings | {"teacher_model": "x"}, must_succeed=False)
    assert run.returncode == 1
    assert run.output.rstrip().splitlines()[-1].startswith("error: distill_alpha is 2.0; allowed are numbers between")
    assert "Traceback" not in run.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--stage", "sft", "--report_to", "mlflow", "tensorboard"],
            {"stage": "sft", "report_to": "mlflow,tensorboard"},
        ),
        (["--stage=dpo", "--do_train"], {"stage": "dpo", "do_train": True}),
        ([], {}),
    ],
)
def test_flags_are_read(arguments: list[str], expected: dict[str, Any]) -> None:
    assert read_settings(arguments) == expected


def test_files_are_read_with_overrides(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("stage: distillm2\nlearning_rate: 1e-4\nnested:\n  a: 1\n", encoding="utf-8")
    settings = read_settings([str(path), "stage=sft", "nested.b=2"])
    assert settings == {"stage": "sft", "learning_rate": pytest.approx(1e-4), "nested": {"a": 1, "b": 2}}


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (None, [], "There is no file"),
        ("- a\n- b\n", [], "is not a mapping of settings"),
        ("a: [1\n", [], "cannot be read: .*line 2"),
        ("a: 1\n", ["cutoff_len", "1024"], "cutoff_len is no override: write key=value"),
    ],
)
def test_a_broken_file_is_named(content: str | None, arguments: list[str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(DistillationError, match=message):
        read_settings([str(path), *arguments])


def test_json_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"stage": "distillm2"}), encoding="utf-8")
    assert read_settings([str(path), "seed=3"]) == {"stage": "distillm2", "seed": 3}
