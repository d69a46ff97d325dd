"""What is minimised: the divergence's name, the temperature and the share of cross-entropy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from distillm2.errors import DistillationError

if TYPE_CHECKING:
    from torch import Tensor

Divergence = Literal["distillm2", "distillm", "kl", "rkl", "js"]
Formula = Literal["skl", "srkl", "kl", "rkl", "js"]


@dataclass(frozen=True)
class Objective:
    """One loss for both kinds of responses, (1 - ``sft_weight``) divergence + ``sft_weight`` cross-entropy.

    With p the teacher's and q the student's next-token distribution and a = alpha:

    ========= ========================================= ==========================================
    name      on teacher responses                      on student responses
    ========= ========================================= ==========================================
    distillm2 SKL  = KL(p || a p + (1-a) q)             SRKL = KL(q || (1-a) p + a q)
    distillm  SRKL                                      SRKL
    kl        KL(p || q)                                the same
    rkl       KL(q || p)                                the same
    js        a KL(p || m) + (1-a) KL(q || m)           the same; m = a p + (1-a) q
    ========= ========================================= ==========================================

    SRKL holds the student fixed inside the mixture, as DistiLLM-2's authors do (arXiv 2503.07067). ``js`` is the
    generalised Jensen-Shannon divergence of GKD (arXiv 2306.13649) with its mixing weight beta = alpha; ``kl`` and
    ``rkl`` do not read alpha. The adaptive alpha was derived for the skewed divergences: ``js`` keeps a fixed one.

    Both models' logits are divided by ``temperature`` before the divergence, which then enters the loss times
    temperature squared, so that gradients keep their size (Hinton et al., arXiv 1503.02531); GKD's code leaves the
    factor out. Cross-entropy and reported log-probabilities are taken at temperature 1.

    Raises DistillationError for a name, temperature or share out of range.
    """

    divergence: Divergence = "distillm2"
    temperature: float = 1.0
    sft_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.divergence not in get_args(Divergence):
            names = ", ".join(get_args(Divergence))
            raise DistillationError(f"distill_loss is {self.divergence!r}; choose one of {names}.")
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise DistillationError(f"distill_temperature is {self.temperature}; it must be a positive number.")
        if not 0 <= self.sft_weight <= 1:
            raise DistillationError(f"distill_sft_weight is {self.sft_weight}; it must lie between 0 and 1.")

    @property
    def reads_alpha(self) -> bool:
        """Whether alpha makes a difference."""
        return self.divergence not in ("kl", "rkl")

    @property
    def adapts_alpha(self) -> bool:
        """Whether alpha may follow the gap between the models."""
        return self.divergence in ("distillm2", "distillm")

    def of_pairs(self, divergence: Tensor, cross_entropy: Tensor) -> Tensor:
        """The loss of each pair with both weights 1, from the sum of its two responses' mean divergences."""
        return (1 - self.sft_weight) * self.temperature**2 * divergence + self.sft_weight * cross_entropy

    def formula(self, *, student_written: bool) -> Formula:
        """The divergence that rows of one kind get."""
        if self.divergence == "distillm2":
            return "srkl" if student_written else "skl"
        return "srkl" if self.divergence == "distillm" else self.divergence
