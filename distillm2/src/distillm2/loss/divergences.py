"""Divergence of two softmax distributions per row, and its analytic gradient with respect to the student's logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from distillm2.loss.objective import Formula

FLOOR = -70.0  # exp(FLOOR) times a row's largest probability is the least that a mixture tells from zero


@dataclass(frozen=True, eq=False)
class Scores:
    """One model's logits of some rows [b, V] as an unnormalised softmax: its probabilities are ``exp / total``.

    ``shifted`` are the logits less the row's ``peak``, over the temperature; it is None for the mixtures (skl, srkl,
    js), which need no logarithm of single probabilities. ``log_total`` is log sum exp(logits - peak) at temperature 1.
    Everything but ``shifted`` and ``exp`` is [b, 1].
    """

    shifted: Tensor | None
    exp: Tensor
    total: Tensor
    peak: Tensor
    log_total: Tensor

    @classmethod
    def of(cls, logits: Tensor, temperature: float, formula: Formula) -> Scores:
        """Scores in fp32, or in float64 where the logits are."""
        peak = row_peak(logits)
        shifted = logits - peak
        log_total = None
        if temperature != 1:
            log_total = shifted.exp().sum(-1, keepdim=True).log_()
            shifted /= temperature
        logs = formula in ("kl", "rkl")
        exp = shifted.exp() if logs else shifted.clamp_(min=FLOOR).exp_()
        total = exp.sum(-1, keepdim=True)
        return cls(shifted if logs else None, exp, total, peak, total.log() if log_total is None else log_total)

    def logp(self, picked: Tensor) -> Tensor:
        """Log-probability [b] at temperature 1 of the tokens whose logits are ``picked`` [b, 1]."""
        return (picked - self.peak - self.log_total).squeeze(-1)


def row_peak(logits: Tensor) -> Tensor:
    """Largest logit per row [b, 1] in the type that sums are taken in."""
    return logits.amax(-1, keepdim=True).to(torch.promote_types(logits.dtype, torch.float32))


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product per row [b, 1]."""
    return torch.linalg.vecdot(a, b).unsqueeze(-1)


def divergence(
    formula: Formula, student: Scores, teacher: Scores, alpha: Tensor, weight: Tensor, out: Tensor | None
) -> Tensor:
    """Divergence per row [b, 1]; ``weight`` times its gradient goes to ``out`` [b, V] where one is given.

    ``alpha`` and ``weight`` are [b, 1]. The scores are used up. With q the student's probabilities and f the
    derivative of the divergence with respect to q, the gradient is q (f - sum q f).
    """
    if formula == "kl":
        return _kl(student, teacher, weight, out)
    if formula == "rkl":
        assert student.shifted is not None
        assert teacher.shifted is not None
        slope = student.shifted.sub_(teacher.shifted)
        mean = dot(student.exp, slope) / student.total
        # a mean of 1e4 has an error of 1e-3: what it misses is found on the centred slope
        slope -= mean
        missed = dot(student.exp, slope) / student.total
        _write(out, student, slope, missed, weight)
        return mean + missed + (teacher.total / student.total).log()
    if formula == "skl":
        return _skl(student, teacher, alpha, weight, out)
    ratio = student.total / teacher.total
    if formula == "srkl":
        slope = _mixture(student.exp, alpha, teacher.exp, (1 - alpha) * ratio)
        torch.div(student.exp, slope, out=slope).log_()
        value = dot(student.exp, slope) / student.total
        _write(out, student, slope, value, weight)
        return value
    mixture = _mixture(student.exp, 1 - alpha, teacher.exp, alpha * ratio)
    slope = torch.div(student.exp, mixture).log_()
    reverse = dot(student.exp, slope) / student.total
    _write(out, student, slope, reverse, weight * (1 - alpha))
    share = torch.div(teacher.exp, mixture, out=mixture).mul_(ratio)
    forward = dot(teacher.exp, share.log_()) / teacher.total
    return alpha * forward + (1 - alpha) * reverse


def _kl(student: Scores, teacher: Scores, weight: Tensor, out: Tensor | None) -> Tensor:
    assert student.shifted is not None
    assert teacher.shifted is not None
    difference = teacher.shifted.sub_(student.shifted)
    value = dot(teacher.exp, difference) / teacher.total + (student.total / teacher.total).log()
    if out is not None:
        torch.addcmul(student.exp.mul_(weight / student.total), teacher.exp, -weight / teacher.total, out=out)
    return value


def _skl(student: Scores, teacher: Scores, alpha: Tensor, weight: Tensor, out: Tensor | None) -> Tensor:
    share = _mixture(teacher.exp, alpha, student.exp, (1 - alpha) * teacher.total / student.total)
    torch.div(teacher.exp, share, out=share)
    if out is not None:
        _write(out, student, share, dot(student.exp, share) / student.total, weight * (alpha - 1))
    return dot(teacher.exp, share.log_()) / teacher.total


def _mixture(a: Tensor, of_a: Tensor, b: Tensor, of_b: Tensor) -> Tensor:
    return torch.mul(a, of_a).addcmul_(b, of_b)


def _write(out: Tensor | None, student: Scores, slope: Tensor, mean: Tensor, weight: Tensor) -> None:
    """weight q (slope - mean) into ``out``."""
    if out is not None:
        scale = weight / student.total
        torch.mul(torch.addcmul(-mean * scale, slope, scale), student.exp, out=out)
