"""Arguments with spaces reach the processes that torchrun starts as they were typed."""

from __future__ import annotations

from pathlib import Path

from training_runs import train, training_settings


def test_spaces_survive_torchrun(tmp_path: Path) -> None:
    unused = tmp_path / "unused"
    settings = training_settings(unused, unused, tmp_path / "my runs" / "one", unused)
    loss = "no  such = loss"  # the worker refuses it by name, before it looks for a model
    environment = {"FORCE_TORCHRUN": "1", "NPROC_PER_NODE": "1"}
    run = train(settings, f"distill_loss={loss}", environment=environment, must_succeed=False)
    assert run.returncode == 1
    assert f"error: distill_loss is {loss!r}" in run.output
