"""Loss terms of one chunk's logits, in blocks of rows whose temporaries fit the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from distillm2.loss.divergences import FLOOR, Scores, divergence, row_peak
from distillm2.loss.objective import Formula
from distillm2.loss.targets import TopKTarget

CPU_BLOCK = 1 << 20  # elements of a temporary: 4 MiB in fp32, of which a few fit the last-level cache
DEVICE_BLOCK = 1 << 24  # 64 MiB: a GPU's passes must outlast their launch


class RowTerms(NamedTuple):
    """Per row: the divergence, and both models' log-probability of the label at temperature 1."""

    divergence: Tensor
    student_logp: Tensor
    teacher_logp: Tensor


class Coefficients(NamedTuple):
    """Per row: alpha, and the factors of the divergence and of the cross-entropy in the loss."""

    alpha: Tensor
    divergence: Tensor
    cross_entropy: Tensor

    def at(self, rows: Tensor | slice) -> Coefficients:
        """Those of some rows."""
        return Coefficients(*(column[rows] for column in self))


def row_terms(
    logits: Tensor,
    teacher: Tensor | TopKTarget,
    labels: Tensor,
    formula: Formula,
    temperature: float,
    factors: Coefficients,
    out: Tensor | None,
) -> RowTerms:
    """Terms of the student's ``logits`` [c, V]; the divergence's gradient with respect to them goes to ``out``.

    A :class:`TopKTarget` coarsens both distributions to its k tokens and one bucket for the rest, and temperature is
    applied to the coarse distributions; with k = V nothing is coarsened.
    """
    terms = []
    for rows in blocks(logits):
        z, label, use = logits[rows], labels[rows].unsqueeze(-1), factors.at(rows)
        slope = None if out is None else out[rows]
        if isinstance(teacher, TopKTarget):
            terms.append(_coarse_terms(z, teacher.chunk(rows), label, formula, temperature, use, slope))
            continue
        q, p = Scores.of(z, temperature, formula), Scores.of(teacher[rows], temperature, formula)
        logps = q.logp(z.gather(-1, label)), p.logp(teacher[rows].gather(-1, label))
        terms.append(RowTerms(_divergence(q, p, formula, temperature, use, slope), *logps))
    return RowTerms(*(torch.cat(column) for column in zip(*terms, strict=True)))


def add_cross_entropy(logits: Tensor, labels: Tensor, factor: Tensor, out: Tensor) -> None:
    """Add ``factor`` [c] times the gradient of -log softmax(logits)[label] to ``out`` [c, V]."""
    for rows in blocks(logits):
        scores = Scores.of(logits[rows], 1.0, "skl")
        share = factor[rows].unsqueeze(-1)
        out[rows].addcmul_(scores.exp, share / scores.total)
        out[rows].scatter_add_(-1, labels[rows].unsqueeze(-1), -share.to(out.dtype))


def label_logp(logits: Tensor, labels: Tensor) -> Tensor:
    """log softmax(logits)[label] per row [c]."""
    found = [
        Scores.of(logits[rows], 1.0, "skl").logp(logits[rows].gather(-1, labels[rows].unsqueeze(-1)))
        for rows in blocks(logits)
    ]
    return torch.cat(found)


def blocks(logits: Tensor) -> Iterator[slice]:
    """Slices of rows whose temporaries stay small."""
    size = max(1, (CPU_BLOCK if logits.device.type == "cpu" else DEVICE_BLOCK) // logits.shape[-1])
    for start in range(0, logits.shape[0], size):
        yield slice(start, start + size)


def _divergence(
    q: Scores, p: Scores, formula: Formula, temperature: float, use: Coefficients, out: Tensor | None
) -> Tensor:
    # d/dz of a divergence of z / T
    factor = use.divergence.unsqueeze(-1) / temperature
    return divergence(formula, q, p, use.alpha.unsqueeze(-1), factor, out).squeeze(-1)


def _coarse_terms(
    logits: Tensor,
    teacher: TopKTarget,
    label: Tensor,
    formula: Formula,
    temperature: float,
    use: Coefficients,
    out: Tensor | None,
) -> RowTerms:
    """As :func:`row_terms`, for one block of rows and cached targets."""
    k, dtype = teacher.ids.shape[-1], use.alpha.dtype
    rest = logits.to(dtype, copy=True)
    picked, coarse = rest.gather(-1, label), rest.gather(-1, teacher.ids)
    known = teacher.logprobs.to(dtype)
    if k < rest.shape[-1]:
        rest.scatter_(-1, teacher.ids, -torch.inf)
        rest_peak = row_peak(rest)
        peak = torch.maximum(rest_peak, row_peak(coarse))
        rest.sub_(rest_peak).exp_()
        total = rest.sum(-1, keepdim=True)
        rest.div_(total)
        picked = picked - peak
        coarse = torch.cat([coarse - peak, rest_peak - peak + total.log()], -1)
        # a tail of no mass is given the least that is told from zero, so that rkl stays finite
        known = torch.cat([known, teacher.tail.to(dtype).unsqueeze(-1).clamp(min=FLOOR)], -1)
    q, p = Scores.of(coarse, temperature, formula), Scores.of(known, temperature, formula)
    logps = q.logp(picked), teacher.label_logp.to(dtype)
    slope = None if out is None else torch.empty_like(coarse)
    value = _divergence(q, p, formula, temperature, use, slope)
    if out is not None and slope is not None:
        if k < rest.shape[-1]:
            torch.mul(rest, slope[:, k:], out=out)
        out.scatter_(-1, teacher.ids, slope[:, :k].to(out.dtype))
    return RowTerms(value, *logps)
