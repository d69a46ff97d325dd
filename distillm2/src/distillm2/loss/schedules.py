"""How alpha and the weights of the two kinds of responses change during training (arXiv 2503.07067)."""

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
    """Weights of the two kinds of responses: the student's grow, since its responses are better later.

    ========= ======= ======= ==========================================================
    name      teacher student b, with r the share of the run's optimizer steps that is done
    ========= ======= ======= ==========================================================
    fixed     1       1
    paper     1-b     b       max(0.5, r)
    reference 2-b     b       1 + 0.5 min(1, 2 r)
    ========= ======= ======= ==========================================================

    The paper has b = clip(e/E + tau/T, 0.5, 1) for epoch e of E and iteration tau of T. With tau and T counted within
    an epoch b would be 1 before the first epoch ends, and teacher responses would weigh nothing from then on. Here e
    counts from 0 and T is the whole run's, so that the sum is r: even weights in the first half, and teacher
    responses fade out only at the end. The authors' code has ``reference``, switched off. Paper weights add up to 1,
    the others to 2; Adam does not see the difference.
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
    """Skew alpha of each sequence: ``alpha``, or, adaptive, less where the models are already close.

    Adaptive alpha is clip(1 - (1 - ``alpha``) m / (gap + 1e-5), ``alpha_min``, ``alpha``), with the sequence's
    :func:`response_gap` and the anchor m, the run's first mean gap. The first epoch has ``alpha``. The paper
    derives the formula from a first-order estimate that keeps the hardness of the objective the same for every
    sequence; clipping and anchor are those of the authors' code, where it is switched off. There a negative gap (the
    other model likes the response better than its writer does) gives the upper bound; here it gives the lower, as a
    gap just above zero does. With an anchor of zero or below, which training warns about, alpha is no more than a
    switch: ``alpha`` where the gap is positive, ``alpha_min`` elsewhere.
    """

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
