"""One training in a process of its own: clean GPU memory, its own log, and an end that is never missed."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from distillm2.errors import DistillationError

PARENT_DEATH_SIGNAL = 1
GRACE_SECONDS = 20.0
TAIL_LINES = 25
DISTILLM2 = (sys.executable, "-m", "distillm2")

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
    part = path.with_name(path.name + ".part")
    part.write_text(yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True), encoding="utf-8")
    part.replace(path)


def start(command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a command with its output in ``log``, in a process group that is told to end when this process dies."""
    log.parent.mkdir(parents=True, exist_ok=True)
    parent = os.getpid()
    with log.open("ab") as stream:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            preexec_fn=(lambda: _end_with(parent)) if sys.platform == "linux" else None,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: politely, then by force."""
    for sign, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, None)):
        if process.poll() is not None:
            break
        os.killpg(process.pid, sign)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue


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


def _end_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)
