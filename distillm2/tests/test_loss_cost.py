"""The cost benchmarks run, on sizes too small to say anything, and give verdicts in words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(script: str, *arguments: str) -> str:
    """What the script prints on a narrow machine."""
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert process.returncode == 0, process.stderr
    return " ".join(process.stdout.split())


def test_the_cpu_benchmark_gives_a_verdict() -> None:
    widths = ["--tokens", "16", "--hidden", "8", "--teacher-hidden", "12", "--vocabulary", "300"]
    printed = run("loss_cost.py", *widths, "--threads", "1", "--repeats", "1", "--chunks", "4")
    assert "V = 300, chunk 4: memory" in printed
    assert "the goal of at most 1.0x" in printed


def test_the_gpu_benchmark_runs_its_loss_on_a_cpu() -> None:
    size = ["--device", "cpu", "--scale", "0.01", "--vocabulary", "300", "--tokens", "16"]
    printed = run("step_cost.py", *size, "--repeats", "1", "--chunks", "4", "--parts", "loss", "--without-trl")
    assert "chunk 4" in printed
    assert "Nothing is concluded from a CPU" in printed
