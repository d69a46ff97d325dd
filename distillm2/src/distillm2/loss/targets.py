"""What the student is to imitate: a teacher's hidden states and head, or its cached top-k log-probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from distillm2.errors import DistillationError

Head = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class HeadTarget:
    """A teacher in memory: ``head`` maps rows of ``hidden`` [n, Ht] to logits [c, Vt]; Vt may hold rows of padding."""

    hidden: Tensor
    head: Head

    def __len__(self) -> int:
        return self.hidden.shape[0]

    def chunk(self, rows: Tensor) -> Tensor:
        """Logits [c, Vt] of the rows [c]."""
        return self.head(self.hidden[rows])


@dataclass(frozen=True, eq=False)
class TopKTarget:
    """A teacher's k largest log-probabilities per token, at temperature 1 over the common vocabulary.

    ``ids`` [n, k] are token ids without repeats in a row, ``logprobs`` [n, k] their natural logs, ``tail`` [n] the
    log of the mass of all other tokens (-inf where none is left), ``label_logp`` [n] the log-probability of the
    response's own token. Raises DistillationError when the shapes do not fit.
    """

    ids: Tensor
    logprobs: Tensor
    tail: Tensor
    label_logp: Tensor

    def __post_init__(self) -> None:
        n = self.ids.shape[0]
        shapes = [tuple(tensor.shape) for tensor in (self.ids, self.logprobs, self.tail, self.label_logp)]
        if self.ids.dim() != 2 or shapes != [shapes[0], shapes[0], (n,), (n,)]:
            raise DistillationError(
                f"Cached targets have the shapes {shapes} of ids, logprobs, tail and label_logp; "
                "they must be [n, k], [n, k], [n] and [n]."
            )

    def __len__(self) -> int:
        return self.ids.shape[0]

    def chunk(self, rows: Tensor | slice) -> TopKTarget:
        """The same for the rows [c]."""
        return TopKTarget(self.ids[rows], self.logprobs[rows], self.tail[rows], self.label_logp[rows])


Target = HeadTarget | TopKTarget
