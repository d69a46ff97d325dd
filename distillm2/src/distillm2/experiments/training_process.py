"""One training in a process of its own: clean GPU memory, its own log, and an end that is never missed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from distillm2.data.dataset_info import write_whole
from distillm2.errors import DistillationError

TAIL_LINES = 25
DISTILLM2 = (sys.executable, "-m", "distillm2")
SUPERVISOR = (sys.executable, "-m", "distillm2.experiments.supervisor")

OnStep = Callable[[int, int], None]


def check_stage(settings: Mapping[str, Any]) -> None:
    """Refuse settings of another stage."""
    if settings.get("stage") != "distillm2":
        raise DistillationError(
            f"stage is {settings.get('stage')!r}; sweep and loop train stage distillm2: set it in the YAML"
        )


def write_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Write training arguments as YAML, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True))


def start(command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a command with its output in ``log``; it ends with this process, and so does all that it starts."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        return subprocess.Popen(
            [*SUPERVISOR, *command],
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End what :func:`start` has started, politely, then by force; nothing if it has ended."""
    if process.stdin is not None:
        process.stdin.close()
    process.wait()


def train(settings: Path, output: Path, log: Path, environment: Mapping[str, str], on_step: OnStep) -> int:
    """Run ``distillm2 train settings`` to its end; returns the exit status.

    ``on_step`` gets the steps done and the steps in all, as LLaMA-Factory's ``trainer_log.jsonl`` tells them.
    """
    process = start([*DISTILLM2, "train", str(settings)], log, environment)
    try:
        while process.poll() is None:
            _report_step(output / "trainer_log.jsonl", on_step)
            time.sleep(0.5)
    finally:
        stop(process)
    _report_step(output / "trainer_log.jsonl", on_step)
    return process.returncode


def run(arguments: list[str], log: Path) -> int:
    """Run another ``distillm2`` command to its end; returns the exit status."""
    process = start([*DISTILLM2, *arguments], log)
    try:
        return process.wait()
    finally:
        stop(process)


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log."""
    if not log.is_file():
        return "(no output)"
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]) or "(no output)"


def _report_step(log: Path, on_step: OnStep) -> None:
    if not log.is_file():
        return
    for line in reversed(log.read_text(encoding="utf-8").splitlines()):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:  # a line that is being written
            continue
        on_step(int(row.get("current_steps", 0)), int(row.get("total_steps", 0)))
        return
