"""The distillation loss from hidden states, in chunks of tokens, with its gradients taken on the way.

No logits outlive their chunk: a chunk's gradient with respect to its logits is written down in closed form and sent
through the head at once. The backward pass only scales what was summed up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from distillm2.errors import DistillationError
from distillm2.loss.objective import Formula, Objective
from distillm2.loss.rows import Coefficients, RowTerms, add_cross_entropy, label_logp, row_terms
from distillm2.loss.targets import Head, Target, TopKTarget


class LossTerms(NamedTuple):
    """The loss, a differentiable scalar, and per response token [n], detached: the divergence at the objective's
    temperature, and the log-probability of the token by student and teacher at temperature 1."""

    loss: Tensor
    divergence: Tensor
    student_logp: Tensor
    teacher_logp: Tensor


def distillation_loss(
    hidden: Tensor,
    head: Head,
    target: Target,
    labels: Tensor,
    student_written: Tensor,
    alpha: Tensor,
    weight: Tensor,
    sft_weight: Tensor,
    objective: Objective,
    chunk_size: int,
    vocabulary: int,
    head_parameters: Sequence[Tensor] = (),
) -> LossTerms:
    """Sum over response tokens of (1-s) weight T^2 divergence + s sft_weight (-log q(label)), s = the SFT share.

    ``hidden`` [n, H] are the student's last hidden states at the tokens that predict ``labels`` [n]; ``head`` maps
    [c, H] to logits [c, V] and is differentiated as it is, so that biases, adapters, soft caps and scales belong in
    it. Its trainable parameters must be named in ``head_parameters``. ``student_written`` [n] is boolean; ``alpha``
    [n] lies in (0, 1). Of both models' logits the first ``vocabulary`` columns count, the rest is padding.

    At most ``chunk_size`` tokens have logits at a time. Gradients are taken only where grad mode is on. Raises
    DistillationError for shapes, labels or alphas out of range and for a trainable head parameter left out.
    """
    call = _Call(head, target, labels, student_written, alpha, weight, sft_weight, objective, chunk_size, vocabulary)
    call.check(hidden)
    loss, *statistics = _ChunkedLoss.apply(call, torch.is_grad_enabled(), hidden, *head_parameters)
    return LossTerms(loss, *statistics)


@torch.no_grad()
def label_logprobs(hidden: Tensor, head: Head, labels: Tensor, vocabulary: int, chunk_size: int) -> Tensor:
    """Log-probability [n] of ``labels`` at temperature 1, detached, without keeping logits."""
    _check_labels(labels, hidden.shape[0], vocabulary)
    found = [hidden.new_empty(0, dtype=_wide(hidden))]
    for start in range(0, len(labels), chunk_size):
        rows = slice(start, start + chunk_size)
        logits = _cut(head(hidden[rows]), vocabulary)
        with torch.autocast(hidden.device.type, enabled=False):
            found.append(label_logp(logits, labels[rows]))
    return torch.cat(found)


def target_logprobs(target: Target, labels: Tensor, vocabulary: int, chunk_size: int) -> Tensor:
    """The teacher's log-probability [n] of ``labels``."""
    if isinstance(target, TopKTarget):
        return target.label_logp
    return label_logprobs(target.hidden, target.head, labels, vocabulary, chunk_size)


@dataclass(frozen=True, eq=False)
class _Call:
    head: Head
    target: Target
    labels: Tensor
    student_written: Tensor
    alpha: Tensor
    weight: Tensor
    sft_weight: Tensor
    objective: Objective
    chunk_size: int
    vocabulary: int

    def check(self, hidden: Tensor) -> None:
        """Raise DistillationError for what does not fit together."""
        n = hidden.shape[0]
        for name in ("labels", "student_written", "alpha", "weight", "sft_weight"):
            shape = tuple(getattr(self, name).shape)
            if shape != (n,):
                raise DistillationError(f"{name} has the shape {shape}; with {n} hidden states it must be ({n},).")
        if len(self.target) != n:
            raise DistillationError(f"The teacher's targets are for {len(self.target)} tokens, the student's for {n}.")
        if self.chunk_size < 1:
            raise DistillationError(f"distill_chunk_size is {self.chunk_size}; it must be at least 1.")
        if not ((self.alpha > 0) & (self.alpha < 1)).all():
            raise DistillationError("alpha must lie between 0 and 1, both excluded, for every token.")
        _check_labels(self.labels, n, self.vocabulary)
        if isinstance(self.target, TopKTarget) and n:
            ids = self.target.ids
            if not ((ids >= 0) & (ids < self.vocabulary)).all():
                raise DistillationError(
                    f"Cached token ids run from {int(ids.min())} to {int(ids.max())}; they must lie below the common "
                    f"vocabulary of {self.vocabulary}. Write the cache again for this tokenizer."
                )

    def chunks(self) -> Iterator[tuple[Formula, Tensor]]:
        """Rows of one formula each, ``chunk_size`` at a time."""
        kinds: dict[Formula, Tensor] = {}
        for kind in (False, True):
            rows = (self.student_written == kind).nonzero().squeeze(-1)
            formula = self.objective.formula(student_written=kind)
            kinds[formula] = torch.cat([kinds[formula], rows]) if formula in kinds else rows
        for formula, rows in kinds.items():
            if len(rows):
                yield from ((formula, chunk) for chunk in rows.split(self.chunk_size))

    def factors(self, dtype: torch.dtype) -> Coefficients:
        """Of every token; the temperature's square and the SFT share are in."""
        share = self.objective.sft_weight
        factor = (1 - share) * self.objective.temperature**2
        return Coefficients(self.alpha.to(dtype), self.weight.to(dtype) * factor, self.sft_weight.to(dtype) * share)

    def chunk(
        self, rows: Tensor, formula: Formula, inputs: Tensor, factors: Coefficients, sources: Sequence[Tensor]
    ) -> tuple[RowTerms, tuple[Tensor, ...]]:
        """Terms of some rows with the hidden states ``inputs`` and the coefficients ``factors``, and the gradients
        with respect to ``sources``."""
        with torch.set_grad_enabled(bool(sources)):
            logits = self.head(inputs)
        teacher = self.target.chunk(rows)
        with torch.autocast(inputs.device.type, enabled=False):
            slope = torch.empty_like(logits) if sources else None
            terms = self.terms(rows, formula, logits.detach(), teacher, factors, slope)
            if slope is None:
                return terms, ()
            del teacher
            _check_parameters(logits, sources)
            return terms, torch.autograd.grad(logits, sources, slope, materialize_grads=True)

    def terms(
        self,
        rows: Tensor,
        formula: Formula,
        logits: Tensor,
        teacher: Tensor | TopKTarget,
        factors: Coefficients,
        out: Tensor | None,
    ) -> RowTerms:
        """Terms of some rows; the gradient with respect to all of the student's ``logits`` goes to ``out``."""
        labels, inner = self.labels[rows], None
        logits = _cut(logits, self.vocabulary)
        if not isinstance(teacher, TopKTarget):
            teacher = _cut(teacher, self.vocabulary)
        if out is not None:
            out[:, self.vocabulary :] = 0
            inner = out[:, : self.vocabulary]
        found = row_terms(logits, teacher, labels, formula, self.objective.temperature, factors, inner)
        if inner is not None and self.objective.sft_weight:
            add_cross_entropy(logits, labels, factors.cross_entropy, inner)
        return found


class _ChunkedLoss(torch.autograd.Function):
    """Forward finds the gradients, backward scales them.

    Half precision would lose those of small weights, so every row's is divided by its own weight; where the head
    learns, whose gradient is summed over rows, by the largest weight of a chunk of similar ones.
    """

    @staticmethod
    def forward(ctx: Any, call: _Call, gradients: bool, hidden: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        dtype = _wide(hidden)
        factors = call.factors(dtype)
        sizes = _sizes(factors)
        largest = sizes.amax() if len(sizes) else sizes.new_ones(())
        needs = ctx.needs_input_grad[2:] if gradients else (False,) * (1 + len(parameters))
        wanted = [parameter for parameter, need in zip(parameters, needs[1:], strict=True) if need]
        sums = [torch.zeros_like(parameter, dtype=_wide(parameter)) for parameter in wanted]
        hidden_grad = torch.zeros_like(hidden) if needs[0] else None
        statistics = [hidden.new_zeros(len(hidden), dtype=dtype) for _ in RowTerms._fields]
        chunks = call.chunks()
        if wanted:
            chunks = ((formula, part) for formula, rows in chunks for part in _alike(rows, sizes))
        for formula, rows in chunks:
            if wanted:
                sizes[rows] = sizes[rows].amax()
            part, size = factors.at(rows), sizes[rows]
            scaled = Coefficients(part.alpha, part.divergence / size, part.cross_entropy / size)
            inputs = hidden[rows].detach().requires_grad_(any(needs))
            sources = [inputs, *wanted] if any(needs) else []
            terms, grads = call.chunk(rows, formula, inputs, scaled, sources)
            for values, new in zip(statistics, terms, strict=True):
                values[rows] = new
            if hidden_grad is not None:
                hidden_grad[rows] = grads[0]
            for total, new in zip(sums, grads[1:], strict=True):
                total.add_(new, alpha=float(size[0] / largest))
        ctx.needs = needs
        ctx.types = [tensor.dtype for tensor, need in zip((hidden, *parameters), needs, strict=True) if need]
        scales = [largest] * len(sums)
        if hidden_grad is not None:
            scales.insert(0, sizes.unsqueeze(-1))
        ctx.save_for_backward(*scales, *([] if hidden_grad is None else [hidden_grad]), *sums)
        divergence, student_logp = statistics[:2]
        loss = torch.dot(factors.divergence, divergence) - torch.dot(factors.cross_entropy, student_logp)
        ctx.mark_non_differentiable(*statistics)
        return loss, *statistics

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        half = len(saved) // 2
        found = zip(saved[:half], saved[half:], ctx.types, strict=True)
        grads = iter([(total * (grad_loss * scale)).to(dtype) for scale, total, dtype in found])
        return None, None, *(next(grads) if need else None for need in ctx.needs)


def _sizes(factors: Coefficients) -> Tensor:
    """The larger factor of every row's gradient [n], at least a tiny number."""
    return torch.maximum(factors.divergence.abs(), factors.cross_entropy.abs()).clamp(min=1e-30)


def _alike(rows: Tensor, sizes: Tensor) -> Iterator[Tensor]:
    """The rows of a chunk in parts whose sizes differ by less than a factor of 16."""
    band = ((sizes[rows].amax() / sizes[rows]).log2() / 4).floor()
    yield from (rows[band == value] for value in band.unique())


def _wide(tensor: Tensor) -> torch.dtype:
    """The type that sums are taken in: fp32, or float64 where the tensor is."""
    return torch.promote_types(tensor.dtype, torch.float32)


def _cut(logits: Tensor, vocabulary: int) -> Tensor:
    """Logits of the common vocabulary."""
    if logits.shape[-1] < vocabulary:
        raise DistillationError(
            f"A model has {logits.shape[-1]} logits, fewer than the common vocabulary of {vocabulary}; "
            "both models must cover it."
        )
    return logits[:, :vocabulary]


def _check_labels(labels: Tensor, n: int, vocabulary: int) -> None:
    if tuple(labels.shape) != (n,):
        raise DistillationError(f"labels has the shape {tuple(labels.shape)}; with {n} tokens it must be ({n},).")
    if n and not ((labels >= 0) & (labels < vocabulary)).all():
        raise DistillationError(
            f"Labels run from {int(labels.min())} to {int(labels.max())}; they must be token ids from 0 to "
            f"{vocabulary - 1}. Give response tokens only and one tokenizer for both models."
        )


def _check_parameters(logits: Tensor, sources: Sequence[Tensor]) -> None:
    """Raise DistillationError where the head reaches a trainable tensor that would get no gradient."""
    known = {id(source) for source in sources}
    seen, waiting = set(), [logits.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None and id(leaf) not in known:
            raise DistillationError(
                f"The head has a trainable parameter of shape {tuple(leaf.shape)} that is not in head_parameters; "
                "name it there or freeze it."
            )
        waiting.extend(following for following, _ in node.next_functions)
