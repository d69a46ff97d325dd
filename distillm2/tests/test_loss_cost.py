"""The cost benchmarks run, on sizes too small to say anything, and give verdicts in words."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

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
    for form in ("dense, both (as released)", "dense, one", "chunk 4", "chunk 4, adaptive alpha"):
        assert f" {form} 0." in printed, "a row, its name whole, then seconds"
    for form in ("chunk 4", "chunk 4, adaptive alpha"):
        for dense in ("dense, both (as released)", "dense, one"):
            assert f"V = 300, {form} against {dense}: memory" in printed
    assert printed.count("the goal of at most 1.0x") == 4


@pytest.mark.parametrize("name", ["dense, one divergence", "chunk 4", "chunk 4, adaptive alpha"])
def test_the_forms_compute_the_same_loss(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    loss_forms = importlib.import_module("loss_forms")
    batch = loss_forms.Batch.random(16, 8, 12, 300, "cpu", "float32")
    losses = [loss_forms.form(form)(batch) for form in ("dense, both divergences", name)]
    gradients = [torch.autograd.grad(loss, batch.hidden)[0] for loss in losses]
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-7)


def test_the_gpu_benchmark_runs_its_loss_on_a_cpu() -> None:
    size = ["--device", "cpu", "--scale", "0.01", "--vocabulary", "300", "--tokens", "16"]
    printed = run("step_cost.py", *size, "--repeats", "1", "--chunks", "4", "--parts", "loss", "--without-trl")
    assert "chunk 4" in printed
    assert "Nothing is concluded from a CPU" in printed
