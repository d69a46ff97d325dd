"""Training the tiny models through the command line, as a user would: ``distillm2 train settings.yaml``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class TrainingRun:
    """What a finished ``distillm2`` process left behind."""

    folder: Path
    returncode: int
    output: str

    def read_log(self, name: str = "trainer_log.jsonl") -> list[dict[str, Any]]:
        """The lines of a JSONL file of the output folder (``trainer_log.jsonl`` or ``distill_log.jsonl``)."""
        return [json.loads(line) for line in (self.folder / name).read_text(encoding="utf-8").splitlines()]


def training_settings(
    student: Path, pairs: Path, output: Path, teacher: Path | None = None, **overrides: Any
) -> dict[str, Any]:
    """Settings of a LoRA distillation of six steps on the CPU; an override of None removes the key."""
    settings: dict[str, Any] = {
        "stage": "distillm2",
        "do_train": True,
        "model_name_or_path": str(student),
        "teacher_model": str(teacher) if teacher else None,
        "finetuning_type": "lora",
        "lora_rank": 4,
        "lora_target": "all",
        "dataset": "pairs",
        "dataset_dir": str(pairs),
        "template": "qwen",
        "cutoff_len": 256,
        "output_dir": str(output),
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "max_steps": 6,
        "learning_rate": 1.0e-2,
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "seed": 7,
        "overwrite_cache": True,
        "dataloader_num_workers": 0,
    }
    settings |= overrides
    return {key: value for key, value in settings.items() if value is not None}


def training_environment(**changes: str) -> dict[str, str]:
    """The environment of a training process: one CPU thread, no network, no GPU."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("LLAMAFACTORY_")}
    return clean | {
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        **changes,
    }


def run_distillm2(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None, timeout: float = 280
) -> TrainingRun:
    """Run ``python -m distillm2 <arguments>``; ``folder`` is the run's output folder. Does not raise on failure."""
    done = subprocess.run(
        [sys.executable, "-m", "distillm2", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        env=training_environment(**(environment or {})),
        check=False,
    )
    return TrainingRun(folder, done.returncode, done.stdout)


def train(
    settings: Mapping[str, Any],
    *overrides: str,
    environment: Mapping[str, str] | None = None,
    must_succeed: bool = True,
    timeout: float = 280,
) -> TrainingRun:
    """Write ``settings`` as YAML beside its ``output_dir`` and train from it; ``overrides`` are ``key=value``.

    A failed training fails the test with the end of its output, unless ``must_succeed`` is false.
    """
    folder = Path(settings["output_dir"])
    path = folder.with_suffix(".yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(settings), allow_unicode=True), encoding="utf-8")
    run = run_distillm2("train", str(path), *overrides, folder=folder, environment=environment, timeout=timeout)
    if must_succeed and run.returncode != 0:
        raise AssertionError(f"distillm2 train {path} ended with {run.returncode}:\n{run.output[-6000:]}")
    return run


def as_flags(settings: Mapping[str, Any]) -> Sequence[str]:
    """The same settings as command-line flags."""
    return [part for key, value in settings.items() for part in (f"--{key}", str(value))]
