"""How alpha and the weights of the two kinds of responses change during training (arXiv 2503.07067, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from distillm2.errors import DistillationError

AlphaName = Literal["fixed", "adaptive"]
BetaName = Literal["fixed", "paper", "reference"]


class ResponseWeights(NamedTuple):
    """Weights of the mean divergence on teacher and on student responses, and the beta they come from."""

    teacher: float
    student: float
    beta: float


@dataclass(frozen=True)
class BetaSchedule:
    """Weights of the two kinds of responses.

    fixed: 1 and 1. paper: 1-b and b. reference: 2-b and b.
    """

    name: BetaName = "paper"

    def __post_init__(self) -> None:
        if self.name not in get_args(BetaName):
            raise DistillationError(f"distill_beta_schedule is {self.name!r}; choose one of {get_args(BetaName)}.")

    def __call__(self, step: int, max_steps: int) -> ResponseWeights:
        """Weights at optimizer step ``step`` (from 0) of ``max_steps`` in the whole run."""
        progress = min(1.0, step / max_steps) if max_steps > 0 else 0.0
        if self.name == "paper":
            beta = max(0.5, progress)
            return ResponseWeights(1 - beta, beta, beta)
        beta = 1.0 + 0.5 * min(1.0, 2 * progress) if self.name == "reference" else 1.0
        return ResponseWeights(2 - beta, beta, beta)


@dataclass(frozen=True)
class AlphaSchedule:
    """Skew alpha of each sequence. fixed: ``alpha``. adaptive: smaller where the models are already close."""

    name: AlphaName = "adaptive"
    alpha: float = 0.1
    alpha_min: float = 0.01

    def __post_init__(self) -> None:
        if self.name not in get_args(AlphaName):
            raise DistillationError(f"distill_alpha_schedule is {self.name!r}; choose one of {get_args(AlphaName)}.")
        if not 0 < self.alpha < 1:
            raise DistillationError(f"distill_alpha is {self.alpha}; it must lie between 0 and 1, both excluded.")
        if self.name == "adaptive" and not 0 < self.alpha_min <= self.alpha:
            raise DistillationError(
                f"distill_alpha_min is {self.alpha_min}; it must be above 0 and at most distill_alpha ({self.alpha})."
            )

    def __call__(self, gap: Tensor, anchor: float | None, epoch: int) -> Tensor:
        """Alpha of each sequence from its ``gap`` (any shape), the run's ``anchor`` and the epoch (from 0)."""
        if self.name == "fixed" or anchor is None or epoch < 1:
            return torch.full_like(gap, self.alpha)
        alpha = 1 - (1 - self.alpha) * anchor / (gap + 1e-5)
        return torch.where(gap > 0, alpha, self.alpha_min).clamp(self.alpha_min, self.alpha)


def response_gap(teacher_logp: Tensor, student_logp: Tensor, student_written: Tensor) -> Tensor:
    """By how much a response's writer finds it likelier than the other model, in (-1, 1), per sequence.

    exp(mean log p) - exp(mean log q) on teacher responses, the negative on student responses; ``teacher_logp`` and
    ``student_logp`` are means over a response's tokens.
    """
    gap = teacher_logp.exp() - student_logp.exp()
    return torch.where(student_written, -gap, gap)
