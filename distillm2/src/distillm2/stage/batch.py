"""Which positions of a batch the loss is computed at, and means over sequences."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ResponseTokens:
    """The n response tokens of a batch of B sequences, in row-major order.

    The hidden state at (``rows`` [n], ``columns`` [n]) predicts the token ``labels`` [n]. ``lengths`` [B] are response
    tokens of each sequence; ``written`` [B] is true where the student wrote the response: the batch holds all teacher
    responses first and then, in the same order of prompts, all student responses.
    """

    rows: Tensor
    columns: Tensor
    labels: Tensor
    lengths: Tensor
    written: Tensor

    @classmethod
    def of(cls, labels: Tensor, ignored: int = -100) -> ResponseTokens:
        """From the labels [B, T] of a batch."""
        following = labels[:, 1:]
        mask = following != ignored
        rows, columns = mask.nonzero(as_tuple=True)
        sequences = torch.arange(labels.shape[0], device=labels.device)
        return cls(rows, columns, following[rows, columns], mask.sum(-1), sequences >= labels.shape[0] // 2)

    @property
    def pairs(self) -> int:
        """Number of prompts."""
        return self.written.shape[0] // 2

    @property
    def token_written(self) -> Tensor:
        """``written`` of each token [n]."""
        return self.written[self.rows]

    def mean(self, values: Tensor) -> Tensor:
        """Mean [B] over each sequence of values per token [n]."""
        sums = values.new_zeros(self.lengths.shape).index_add(0, self.rows, values)
        return sums / self.lengths.clamp(min=1)

    def per_token(self, values: Tensor) -> Tensor:
        """A weight of each sequence [B] as the weight of its tokens [n] in a mean over sequences and then pairs."""
        return (values / (self.lengths.clamp(min=1) * self.pairs))[self.rows]
