"""One loss in the forms that are compared: ours, and those that hold full logits of both models."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from distillm2.loss.chunked import distillation_loss, label_logprobs, target_logprobs
from distillm2.loss.objective import Divergence, Objective
from distillm2.loss.schedules import AlphaSchedule, response_gap
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


def ours(batch: Batch, chunk_size: int, divergence: Divergence = "distillm2", adaptive: bool = False) -> Tensor:
    """The chunked loss; ``adaptive`` with the pass over both heads that adaptive alpha takes from the second epoch on.

    Its bounds are both ``ALPHA``, so that the loss is that of the other forms.
    """
    sequences, m, width = batch.hidden.shape
    n, vocabulary = sequences * m, batch.weight.shape[0]
    hidden, labels = batch.hidden.reshape(n, width), batch.labels.reshape(n)
    target = HeadTarget(batch.teacher_hidden.reshape(n, -1), lambda rows: rows @ batch.teacher_weight.t())
    written = torch.arange(n, device=hidden.device) >= m
    alpha = torch.full((n,), ALPHA, device=hidden.device)

    def head(rows: Tensor) -> Tensor:
        return rows @ batch.weight.t()

    if adaptive:
        student = label_logprobs(hidden, head, labels, vocabulary, chunk_size).view(sequences, m).mean(-1)
        teacher = target_logprobs(target, labels, vocabulary, chunk_size).view(sequences, m).mean(-1)
        gap = response_gap(teacher, student, written.view(sequences, m)[:, 0])
        alpha = AlphaSchedule("adaptive", ALPHA, ALPHA)(gap, 0.1, 1).repeat_interleave(m)
    return distillation_loss(
        hidden,
        head,
        target,
        labels,
        written,
        alpha,
        torch.full((n,), 1 / m, device=hidden.device),
        torch.zeros(n, device=hidden.device),
        Objective(divergence),
        chunk_size,
        vocabulary,
    ).loss


def dense_both(batch: Batch) -> Tensor:
    """As the method's released form works: both divergences for all rows, half of each unused; mixtures stacked."""
    student = (batch.hidden @ batch.weight.t()).float()
    with torch.no_grad():
        teacher = (batch.teacher_hidden @ batch.teacher_weight.t()).float()
    log_q, log_p = student.log_softmax(-1), teacher.log_softmax(-1)

    def skew(log_a: Tensor, log_b: Tensor) -> Tensor:
        return torch.logsumexp(torch.stack([math.log(ALPHA) + log_a, math.log(1 - ALPHA) + log_b]), 0)

    skl = (log_p.exp() * (log_p - skew(log_p, log_q))).sum(-1)
    srkl = (log_q.exp() * (log_q - skew(log_q.detach(), log_p))).sum(-1)
    return skl[0].mean() + srkl[1].mean()


def dense_one(batch: Batch) -> Tensor:
    """Full logits, one divergence per row, nothing stacked or sliced."""

    def logs(half: int) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            teacher = (batch.teacher_hidden[half] @ batch.teacher_weight.t()).float().log_softmax(-1)
        return teacher, (batch.hidden[half] @ batch.weight.t()).float().log_softmax(-1)

    def skew(log_a: Tensor, log_b: Tensor) -> Tensor:
        return torch.logaddexp(log_a + math.log(ALPHA), log_b + math.log(1 - ALPHA))

    log_p, log_q = logs(0)
    skl = (log_p.exp() * (log_p - skew(log_p, log_q))).sum(-1)
    log_p, log_q = logs(1)
    srkl = (log_q.exp() * (log_q - skew(log_q.detach(), log_p))).sum(-1)
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
    """The form of a name; ``chunk C`` is ours in chunks of C tokens, ``chunk C, adaptive alpha`` with its pass."""
    if name.startswith("chunk "):
        size, _, alpha = name.removeprefix("chunk ").partition(", ")
        return lambda batch: ours(batch, int(size), adaptive=alpha == "adaptive alpha")
    return FORMS[name]
