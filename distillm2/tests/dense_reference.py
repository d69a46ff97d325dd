"""The loss straight from its formulas, in float64 on full logits with autograd, to hold the chunked loss against."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Dense(NamedTuple):
    """The loss and, per token, the divergence and the cross-entropy."""

    loss: Tensor
    divergence: Tensor
    cross_entropy: Tensor


def kl(log_a: Tensor, log_b: Tensor) -> Tensor:
    """KL(a || b) per row."""
    return (log_a.exp() * (log_a - log_b)).sum(-1)


def mixture(log_a: Tensor, log_b: Tensor, share: Tensor) -> Tensor:
    """log(share a + (1 - share) b)."""
    return torch.logaddexp(share.log() + log_a, torch.log1p(-share) + log_b)


def divergences(name: str, log_p: Tensor, log_q: Tensor, alpha: Tensor, student_written: Tensor) -> Tensor:
    """Per row, of the teacher's log_p and the student's log_q; alpha is [n]."""
    a = alpha.unsqueeze(-1)
    if name == "kl":
        return kl(log_p, log_q)
    if name == "rkl":
        return kl(log_q, log_p)
    if name == "js":
        middle = mixture(log_p, log_q, a)
        return alpha * kl(log_p, middle) + (1 - alpha) * kl(log_q, middle)
    skl = kl(log_p, mixture(log_p, log_q, a))
    srkl = kl(log_q, mixture(log_q.detach(), log_p, a))
    return srkl if name == "distillm" else torch.where(student_written, srkl, skl)


def coarsen(logits: Tensor, ids: Tensor) -> Tensor:
    """Log-probabilities of the tokens ``ids`` [n, k] and of all others together [n, k + 1]; without others [n, k]."""
    logs = logits.log_softmax(-1)
    picked = logs.gather(-1, ids)
    if ids.shape[-1] == logits.shape[-1]:
        return picked
    rest = logs.scatter(-1, ids, -torch.inf).logsumexp(-1, keepdim=True)
    return torch.cat([picked, rest], -1)


def dense_loss(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    student_written: Tensor,
    alpha: Tensor,
    weight: Tensor,
    sft_weight: Tensor,
    *,
    name: str,
    temperature: float = 1.0,
    share: float = 0.0,
    ids: Tensor | None = None,
) -> Dense:
    """The loss of both models' float64 logits over the common vocabulary; ``ids`` coarsens the distributions."""
    alpha, weight, sft_weight = alpha.double(), weight.double(), sft_weight.double()
    q, p = (student, teacher) if ids is None else (coarsen(student, ids), coarsen(teacher, ids))
    log_q, log_p = (q / temperature).log_softmax(-1), (p / temperature).log_softmax(-1)
    divergence = divergences(name, log_p, log_q, alpha, student_written)
    cross_entropy = -student.log_softmax(-1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    loss = (1 - share) * temperature**2 * (weight * divergence).sum() + share * (sft_weight * cross_entropy).sum()
    return Dense(loss, divergence, cross_entropy)
