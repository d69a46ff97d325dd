"""Averages between two logging steps, over all processes, and the anchor of the adaptive alpha."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from distillm2.errors import DistillationError
from distillm2.stage.data import stage_logger

STATE_FILE = "distill_state.json"
NAMES = ("skl", "srkl", "alpha_teacher", "alpha_student", "beta", "gap_teacher", "gap_student", "sft")


class Anchor(NamedTuple):
    """The first logged mean gap on teacher and on student responses: m of the adaptive alpha (arXiv 2503.07067)."""

    teacher: float
    student: float


class DistillState:
    """Sums since the last logging step, and the anchor once it is known.

    Saved with every checkpoint, so that a resumed training logs and computes what an uninterrupted one would.
    """

    def __init__(self) -> None:
        self.anchor: Anchor | None = None
        self._sums = torch.zeros(len(NAMES), 2)

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add the values of some sequences under each name."""
        step = torch.zeros_like(self._sums, device=next(iter(values.values())).device)
        for name, value in values.items():
            step[NAMES.index(name)] = torch.stack([value.detach().float().sum(), step.new_tensor(value.numel())])
        self._sums = self._sums.to(step.device) + step

    def means(self, accelerator: Any) -> dict[str, float]:
        """Means over all processes of what was added; every process must call it."""
        return {
            name: total / count for name, (total, count) in zip(NAMES, self._reduce(accelerator), strict=True) if count
        }

    def restart(self) -> None:
        """Begin the next window."""
        self._sums = torch.zeros_like(self._sums)

    def fix_anchor(self, means: Mapping[str, float]) -> None:
        """Take the anchor from the first means there are, and warn of one that leaves alpha no range."""
        if self.anchor is None and "gap_teacher" in means:
            self.anchor = Anchor(means["gap_teacher"], means["gap_student"])
            for side, gap in self.anchor._asdict().items():
                if gap <= 0:
                    stage_logger().warning_rank0(
                        f"The first mean gap on {side} responses is {gap:.2g}, so the other model finds them at least "
                        "as likely as their writer does: the adaptive alpha will be distill_alpha where a response's "
                        "gap is positive and distill_alpha_min elsewhere. Check that the responses come from these "
                        "models, or set distill_alpha_schedule: fixed."
                    )

    def save(self, folder: Path, accelerator: Any) -> None:
        """Write ``distill_state.json``; every process must call it, the first one writes."""
        sums = self._reduce(accelerator)
        if accelerator.is_main_process:
            folder.mkdir(parents=True, exist_ok=True)
            state = {"anchor": self.anchor, "sums": dict(zip(NAMES, sums, strict=True))}
            unfinished = folder / f"{STATE_FILE}.new"
            unfinished.write_text(json.dumps(state, indent=2), encoding="utf-8")
            unfinished.replace(folder / STATE_FILE)

    def load(self, folder: Path, accelerator: Any, required: bool) -> None:
        """Read what `save` wrote; the first process takes over the sums of all.

        :raises DistillationError: when the folder has none and it is ``required``
        """
        path = folder / STATE_FILE
        if not path.is_file():
            if not required:
                return
            raise DistillationError(
                f"{path} is missing, and without it the adaptive alpha has no anchor: {folder} was saved with "
                "save_only_model: true, or not by stage distillm2. Start from a folder that has it, or set "
                "distill_alpha_schedule: fixed."
            )
        state = json.loads(path.read_text(encoding="utf-8"))
        self.anchor = Anchor(*state["anchor"]) if state["anchor"] else None
        if accelerator.is_main_process:
            self._sums = torch.tensor([state["sums"][name] for name in NAMES], device=accelerator.device)

    def _reduce(self, accelerator: Any) -> list[list[float]]:
        sums: list[list[float]] = accelerator.reduce(self._sums.to(accelerator.device).clone(), "sum").tolist()
        return sums
