"""Loss terms of one chunk: blocks of rows small enough for the processor's cache run through the divergence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from distillm2.loss.divergences import FLOOR, Scores, divergence, row_peak
from distillm2.loss.objective import Formula
from distillm2.loss.targets import TopKTarget

BLOCK_ELEMENTS = {"cpu": 1 << 18}  # of a temporary [b, V]
BLOCK_ELEMENTS_DEVICE = 1 << 25


class RowTerms(NamedTuple):
    """Per row [c] of a chunk: the divergence and both models' log-probability of the label."""

    divergence: Tensor
    student_logp: Tensor
    teacher_logp: Tensor


class Coefficients(NamedTuple):
    """Per row [c]: alpha, and the factors of the divergence's and of the cross-entropy's gradient."""

    alpha: Tensor
    divergence: Tensor
    cross_entropy: Tensor


def head_rows(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    formula: Formula,
    temperature: float,
    coefficients: Coefficients,
    out: Tensor | None,
) -> RowTerms:
    """Terms from both models' logits [c, V]; the gradient of the student's goes to ``out`` [c, V] where one is given.

    The cross-entropy's part is added by :func:`add_cross_entropy`.
    """
    terms = []
    for rows in blocks(student):
        p = Scores.of(teacher[rows], temperature, formula)
        q = Scores.of(student[rows], temperature, formula)
        alpha, weight = (column[rows].unsqueeze(-1) for column in coefficients[:2])
        label = labels[rows].unsqueeze(-1)
        value = divergence(formula, q, p, alpha, weight / temperature, None if out is None else out[rows])
        logp = [s.logp(z[rows].gather(-1, label)) for s, z in ((q, student), (p, teacher))]
        terms.append(RowTerms(value.squeeze(-1), *logp))
    return RowTerms(*(torch.cat(column) for column in zip(*terms, strict=True)))


def top_k_rows(
    student: Tensor,
    teacher: TopKTarget,
    labels: Tensor,
    formula: Formula,
    temperature: float,
    coefficients: Coefficients,
    out: Tensor | None,
) -> RowTerms:
    """The same for a teacher's top k: both distributions are coarsened to those k tokens and one bucket for the rest.

    Temperature is applied to the coarsened distributions. With k = V there is no rest.
    """
    terms = []
    for rows in blocks(student):
        ids = teacher.ids[rows]
        rest = student[rows].to(coefficients.alpha.dtype, copy=True)
        top = rest.gather(-1, ids)
        picked = rest.gather(-1, labels[rows].unsqueeze(-1))
        logprobs = teacher.logprobs[rows].to(rest.dtype)
        if ids.shape[-1] == rest.shape[-1]:
            spread, coarse, known = None, top, logprobs
        else:
            rest.scatter_(-1, ids, -torch.inf)
            peak = row_peak(rest)
            overall = torch.maximum(peak, row_peak(top))
            rest.sub_(peak).exp_()
            total = rest.sum(-1, keepdim=True)
            spread = rest.div_(total)
            coarse = torch.cat([top - overall, peak - overall + total.log()], -1)
            known = torch.cat([logprobs, teacher.tail[rows].to(rest.dtype).unsqueeze(-1).clamp(min=FLOOR)], -1)
            picked = picked - overall
        p = Scores.of(known, temperature, formula)
        q = Scores.of(coarse, temperature, formula)
        alpha, weight = (column[rows].unsqueeze(-1) for column in coefficients[:2])
        slope = None if out is None else torch.empty_like(coarse)
        value = divergence(formula, q, p, alpha, weight / temperature, slope)
        if out is not None and slope is not None:
            if spread is not None:
                torch.mul(spread, slope[:, -1:], out=out[rows])
            out[rows].scatter_(-1, ids, slope[:, : ids.shape[-1]].to(out.dtype))
        logp = [q.logp(picked), teacher.label_logp[rows].to(rest.dtype)]
        terms.append(RowTerms(value.squeeze(-1), *logp))
    return RowTerms(*(torch.cat(column) for column in zip(*terms, strict=True)))


def add_cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor, out: Tensor) -> None:
    """Add ``weight`` [c] times the gradient of -log softmax(logits)[label] to ``out`` [c, V]."""
    for rows in blocks(logits):
        scores = Scores.of(logits[rows], 1.0, "skl")
        share = weight[rows].unsqueeze(-1)
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
    elements = BLOCK_ELEMENTS.get(logits.device.type, BLOCK_ELEMENTS_DEVICE)
    size = max(1, elements // logits.shape[-1])
    for start in range(0, logits.shape[0], size):
        yield slice(start, start + size)
