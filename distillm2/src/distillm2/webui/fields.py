"""The stage's fields on LlamaBoard: which arguments are shown, in which rows, by which component."""

from __future__ import annotations

import dataclasses
import functools
import typing
from dataclasses import dataclass
from typing import Any, Literal

from distillm2.errors import DistillationError
from distillm2.stage.arguments import DistillationArguments

ROWS: tuple[tuple[str, ...], ...] = (
    ("teacher_model", "teacher_adapter", "teacher_cache", "teacher_quantization_bit"),
    ("distill_loss", "distill_sft_weight", "distill_temperature", "distill_chunk_size"),
    ("distill_alpha", "distill_alpha_schedule", "distill_alpha_min", "distill_beta_schedule"),
)
NONE = "none"
OPTIONAL_CHOICES = {"teacher_quantization_bit": ("8", "4")}
SLIDERS: dict[str, tuple[float, float, float]] = {  # smallest, largest, step
    "distill_sft_weight": (0.0, 1.0, 0.01),
    "distill_temperature": (0.1, 10.0, 0.1),
    "distill_chunk_size": (16, 4096, 16),
    "distill_alpha": (0.01, 0.99, 0.01),
    "distill_alpha_min": (0.001, 0.5, 0.001),
}


@dataclass(frozen=True)
class BoardField:
    """One argument of the stage as a component.

    ``default`` is the component's value: a string where ``kind`` is ``text`` or ``choice``, else a number. ``choices``
    and ``slider`` (smallest, largest, step) are empty for the kinds that do not have them.
    """

    name: str
    kind: Literal["text", "choice", "number"]
    default: str | float
    choices: tuple[str, ...]
    slider: tuple[float, float, float] | None
    number: type[int] | type[float] | None
    info: str

    def argument(self, value: Any) -> Any:
        """The training argument of the component's ``value``; None where the field was left empty."""
        if self.number is not None:
            return None if value in (None, "", NONE) else self.number(value)
        return str(value or "").strip() or None


@functools.cache
def board_fields() -> dict[str, BoardField]:
    """The fields by name, in the order of ``ROWS``; choices, defaults and help come from ``DistillationArguments``."""
    arguments = {argument.name: argument for argument in dataclasses.fields(DistillationArguments)}
    hints = typing.get_type_hints(DistillationArguments)
    return {name: _field(arguments[name], hints[name]) for row in ROWS for name in row}


def _field(argument: dataclasses.Field[Any], hint: Any) -> BoardField:
    name, info = argument.name, argument.metadata["help"]
    default: Any = argument.default
    inner = [part for part in typing.get_args(hint) if part is not type(None)]
    if typing.get_origin(hint) is Literal:
        return BoardField(name, "choice", default, tuple(inner), None, None, info)
    if name in OPTIONAL_CHOICES:
        return BoardField(name, "choice", NONE, (NONE, *OPTIONAL_CHOICES[name]), None, inner[0], info)
    if hint in (int, float):
        return BoardField(name, "number", default, (), SLIDERS[name], hint, info)
    if inner == [str]:
        return BoardField(name, "text", default or "", (), None, None, info)
    raise DistillationError(f"LlamaBoard has no component for {name}: {hint}; add one in webui/fields.py.")
