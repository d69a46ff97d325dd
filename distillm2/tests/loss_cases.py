"""Random inputs of the loss, and the comparison of the chunked loss with the dense reference on them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from dense_reference import Dense, dense_loss
from torch import Tensor

from distillm2.loss.chunked import LossTerms, distillation_loss
from distillm2.loss.objective import Divergence, Objective
from distillm2.loss.targets import HeadTarget, Target, TopKTarget

NAMES: tuple[Divergence, ...] = ("distillm2", "distillm", "kl", "rkl", "js")


@dataclass
class Case:
    """Inputs of one call; student and teacher have rows of padding beyond the common ``vocabulary``."""

    hidden: Tensor
    weight: Tensor
    teacher_hidden: Tensor
    teacher_weight: Tensor
    vocabulary: int
    alpha: Tensor
    student_written: Tensor
    labels: Tensor = field(init=False)
    token_weight: Tensor = field(init=False)
    sft_weight: Tensor = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.hidden)
        generator = torch.Generator().manual_seed(n)
        self.labels = torch.randint(0, self.vocabulary, (n,), generator=generator)
        self.token_weight = torch.rand(n, generator=generator) + 0.1
        self.sft_weight = torch.rand(n, generator=generator) * ~self.student_written

    @property
    def logits(self) -> Tensor:
        """The student's, in float64, over the common vocabulary."""
        return (self.hidden.double() @ self.weight.double().t())[:, : self.vocabulary]

    @property
    def teacher_logits(self) -> Tensor:
        """The teacher's, likewise."""
        return (self.teacher_hidden.double() @ self.teacher_weight.double().t())[:, : self.vocabulary]

    @property
    def head_target(self) -> HeadTarget:
        """The teacher in memory."""
        return HeadTarget(self.teacher_hidden, lambda rows: rows @ self.teacher_weight.t())

    def top_k_target(self, k: int) -> TopKTarget:
        """The teacher's ``k`` largest log-probabilities, in the type of its hidden states."""
        logs = self.teacher_logits.log_softmax(-1)
        values, ids = logs.topk(k)
        tail = logs.scatter(-1, ids, -torch.inf).logsumexp(-1)
        label = logs.gather(-1, self.labels.unsqueeze(-1)).squeeze(-1)
        dtype = self.teacher_hidden.dtype
        return TopKTarget(ids, values.to(dtype), tail.to(dtype), label.to(dtype))

    def ours(self, target: Target, objective: Objective, chunk_size: int = 7) -> LossTerms:
        """The chunked loss; ``hidden`` and ``weight`` get gradients."""
        self.hidden = self.hidden.detach().requires_grad_()
        self.weight = self.weight.detach().requires_grad_()
        return distillation_loss(
            self.hidden,
            lambda rows: rows @ self.weight.t(),
            target,
            self.labels,
            self.student_written,
            self.alpha,
            self.token_weight,
            self.sft_weight,
            objective,
            chunk_size,
            self.vocabulary,
            [self.weight],
        )

    def reference(self, objective: Objective, ids: Tensor | None = None) -> tuple[Dense, Tensor, Tensor]:
        """The dense loss and its gradients with respect to ``hidden`` and ``weight``, in float64."""
        hidden, weight = (tensor.detach().double().requires_grad_() for tensor in (self.hidden, self.weight))
        found = dense_loss(
            (hidden @ weight.t())[:, : self.vocabulary],
            self.teacher_logits.detach(),
            self.labels,
            self.student_written,
            self.alpha,
            self.token_weight,
            self.sft_weight,
            name=objective.divergence,
            temperature=objective.temperature,
            share=objective.sft_weight,
            ids=ids,
        )
        return found, *torch.autograd.grad(found.loss, (hidden, weight))


def random_case(n: int = 23, *, dtype: torch.dtype = torch.float32, alpha: float | None = None, seed: int = 0) -> Case:
    """Models of different widths and paddings, logits of deviation 2; a third of rows is student-written; alpha
    per row if not given."""
    g = torch.Generator().manual_seed(seed)
    vocabulary = 61
    written = torch.rand(n, generator=g) < 0.35
    alphas = torch.rand(n, generator=g) * 0.9 + 0.05 if alpha is None else torch.full((n,), alpha)
    return Case(
        torch.randn(n, 16, generator=g).to(dtype),
        0.5 * torch.randn(vocabulary + 3, 16, generator=g).to(dtype),
        torch.randn(n, 24, generator=g).to(dtype),
        0.5 * torch.randn(vocabulary + 8, 24, generator=g).to(dtype),
        vocabulary,
        alphas.to(dtype),
        written,
    )


def logits_case(student: Tensor, teacher: Tensor, alpha: float = 0.1) -> Case:
    """Given logits [n, V] behind heads that are the identity, so that no rounding comes before the loss."""
    n, vocabulary = student.shape
    eye = torch.eye(vocabulary, dtype=student.dtype)
    written = torch.arange(n) % 2 == 1
    return Case(student, eye, teacher, eye, vocabulary, torch.full((n,), alpha, dtype=student.dtype), written)


def assert_close(found: Tensor, expected: Tensor, tolerance: float, least: float = 0.0) -> None:
    """The largest difference is at most ``tolerance`` times the largest expected magnitude (at least ``least``)."""
    assert found.shape == expected.shape
    assert torch.isfinite(found).all()
    if not expected.numel():
        return
    scale = max(expected.abs().max().item(), least)
    error = (found.detach().double() - expected.detach()).abs().max().item()
    assert error <= tolerance * scale, f"error {error:.3g} over scale {scale:.3g}"


def assert_parity(
    case: Case,
    target: Target,
    objective: Objective,
    tolerance: float,
    *,
    chunk_size: int = 7,
    ids: Tensor | None = None,
) -> None:
    """Loss, gradients and statistics agree with the dense reference.

    Gradients are compared on the scale of the largest expected one, and at least on that of what a row's gradient is
    the difference of: its weight times its divergence (within 1 to 10).
    """
    terms = case.ours(target, objective, chunk_size)
    terms.loss.backward()
    dense, hidden_grad, weight_grad = case.reference(objective, ids)
    row = (case.token_weight.max() * objective.temperature * dense.divergence.max().clamp(1, 10)).item()
    assert_close(terms.divergence, dense.divergence, tolerance, 1.0)
    assert_close(terms.student_logp, -dense.cross_entropy, tolerance, 1.0)
    assert_close(terms.loss, dense.loss, tolerance, row)
    assert case.hidden.grad is not None
    assert case.weight.grad is not None
    assert_close(case.hidden.grad, hidden_grad, tolerance, row)
    assert_close(case.weight.grad, weight_grad, tolerance, row)
    assert not case.weight.grad[case.vocabulary :].any()
    logs = case.teacher_logits.log_softmax(-1).gather(-1, case.labels.unsqueeze(-1)).squeeze(-1)
    assert_close(terms.teacher_logp, logs, tolerance, 1.0)
