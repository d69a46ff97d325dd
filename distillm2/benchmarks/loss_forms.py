"""One loss in the forms that are compared: ours, and those that hold full logits of both models."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from distillm2.loss.chunked import distillation_loss
from distillm2.loss.objective import Divergence, Objective
from distillm2.loss.targets import HeadTarget

ALPHA = 0.1


@dataclass(frozen=True, eq=False)
class Batch:
    """Hidden states [2, m, H] and [2, m, Ht] of a teacher's and a student's response, weights of both heads, labels."""

    hidden: Tensor
    weight: Tensor
    teacher_hidden: Tensor
    teacher_weight: Tensor
    labels: Tensor

    @classmethod
    def random(cls, tokens: int, width: int, teacher_width: int, vocabulary: int, device: str, dtype: str) -> Batch:
        """Of about the magnitudes that trained models have; ``tokens`` are those of both responses."""
        torch.manual_seed(0)
        options = {"device": device, "dtype": getattr(torch, dtype)}
        shape = 2, tokens // 2
        return cls(
            torch.randn(*shape, width, **options).mul_(0.5).requires_grad_(),
            torch.randn(vocabulary, width, **options).mul_(0.1),
            torch.randn(*shape, teacher_width, **options).mul_(0.5),
            torch.randn(vocabulary, teacher_width, **options).mul_(0.1),
            torch.randint(0, vocabulary, shape, device=device),
        )


def ours(batch: Batch, chunk_size: int, divergence: Divergence = "distillm2") -> Tensor:
    """The chunked loss."""
    sequences, m, width = batch.hidden.shape
    n = sequences * m
    return distillation_loss(
        batch.hidden.reshape(n, width),
        lambda rows: rows @ batch.weight.t(),
        HeadTarget(batch.teacher_hidden.reshape(n, -1), lambda rows: rows @ batch.teacher_weight.t()),
        batch.labels.reshape(n),
        (torch.arange(n, device=batch.hidden.device) >= m),
        torch.full((n,), ALPHA, device=batch.hidden.device),
        torch.full((n,), 1 / m, device=batch.hidden.device),
        torch.zeros(n, device=batch.hidden.device),
        Objective(divergence),
        chunk_size,
        batch.weight.shape[0],
    ).loss


def _log_probabilities(batch: Batch) -> tuple[Tensor, Tensor]:
    student = (batch.hidden @ batch.weight.t()).float()
    with torch.no_grad():
        teacher = (batch.teacher_hidden @ batch.teacher_weight.t()).float()
    log_q, log_p = student.log_softmax(-1), teacher.log_softmax(-1)
    for logs in (log_q, log_p):
        logs.gather(-1, batch.labels.unsqueeze(-1))
    return log_p, log_q


def _skew(log_a: Tensor, log_b: Tensor) -> Tensor:
    return torch.logsumexp(torch.stack([math.log(ALPHA) + log_a, math.log(1 - ALPHA) + log_b]), 0)


def dense_both(batch: Batch) -> Tensor:
    """As the method's released form works: both divergences for all rows, half of each unused."""
    log_p, log_q = _log_probabilities(batch)
    skl = (log_p.exp() * (log_p - _skew(log_p, log_q))).sum(-1)
    srkl = (log_q.exp() * (log_q - _skew(log_q.detach(), log_p))).sum(-1)
    return skl[0].mean() + srkl[1].mean()


def dense_one(batch: Batch) -> Tensor:
    """Full logits, one divergence per row."""
    log_p, log_q = _log_probabilities(batch)
    p, q = log_p[0], log_q[0]
    skl = (p.exp() * (p - _skew(p, q))).sum(-1)
    p, q = log_p[1], log_q[1]
    srkl = (q.exp() * (q - _skew(q.detach(), p))).sum(-1)
    return skl.mean() + srkl.mean()


def trl_gkd(batch: Batch) -> Tensor:
    """TRL's GKD: the generalised Jensen-Shannon divergence of full logits, in their own precision."""
    from trl import GKDTrainer

    student = batch.hidden @ batch.weight.t()
    with torch.no_grad():
        teacher = batch.teacher_hidden @ batch.teacher_weight.t()
    return GKDTrainer.generalized_jsd_loss(student, teacher, labels=batch.labels, beta=0.5)


FORMS: dict[str, Callable[[Batch], Tensor]] = {
    "dense, both divergences": dense_both,
    "dense, one divergence": dense_one,
    "TRL GKD": trl_gkd,
}


def form(name: str) -> Callable[[Batch], Tensor]:
    """The form of a name; ``chunk C`` is ours in chunks of C tokens."""
    if name.startswith("chunk "):
        return lambda batch: ours(batch, int(name.split()[1]))
    return FORMS[name]
