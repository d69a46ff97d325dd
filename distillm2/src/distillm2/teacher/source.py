"""Where the teacher's probabilities come from: what the trainer asks of a teacher in memory or in a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from distillm2.loss.targets import Target


class TeacherSource(Protocol):
    """A teacher that is loaded, or a cache of what one said."""

    @property
    def vocabulary(self) -> int:
        """Number of token ids it has probabilities for, padding rows included."""

    def prepare(self, accelerator: Any) -> None:
        """Move to the device of ``accelerator`` and check what can be checked before training."""

    def targets(self, inputs: Mapping[str, Tensor], rows: Tensor, columns: Tensor) -> Target:
        """What the student is to imitate at the positions (``rows`` [n], ``columns`` [n]) of a batch.

        ``inputs`` are the batch's tensors without labels, ``input_ids`` [B, T] and ``attention_mask`` among them.
        Column c is the hidden state that predicts token c + 1. Positions come in row-major order, all response
        tokens of a row or none. No gradient.
        """

    def describe(self) -> str:
        """One line for the log."""
