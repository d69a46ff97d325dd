"""What a sweep varies: a range or a list of values for each training argument."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from distillm2.errors import DistillationError
from distillm2.experiments.argument_names import check_arguments, choices, known_arguments

if TYPE_CHECKING:
    from optuna.trial import Trial

Value = float | int | str | bool

RATIO_SCALED = ("learning_rate", "distill_temperature")
FORBIDDEN = {
    "the held-out pairs": (
        *("seed", "val_size", "dataset", "eval_dataset", "dataset_dir", "media_dir", "max_samples", "eval_num_beams"),
        *("template", "cutoff_len", "default_system", "enable_thinking", "mix_strategy", "interleave_probs"),
    ),
    "the teacher that trials are measured against": (
        *("teacher_model", "teacher_adapter", "teacher_cache", "teacher_quantization_bit"),
    ),
    "what the sweep itself sets": ("stage", "do_train", "do_eval", "output_dir", "report_to", "resume_from_checkpoint"),
}


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``; ``log`` samples ratios evenly; integers if all of its numbers are."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether the values are integers."""
        ends = (self.low, self.high) if self.step is None else (self.low, self.high, self.step)
        return all(isinstance(end, int) for end in ends)

    def suggest(self, trial: Trial, name: str) -> Value:
        """A value for ``trial``."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def grid(self, name: str) -> list[Value]:
        """All values, for a grid."""
        if self.step is None and not self.whole:
            raise DistillationError(
                f"{name}: a grid cannot try every number from {self.low:g} to {self.high:g}; "
                "list the values, or give a step"
            )
        step = self.step or 1
        values: list[Value] = [
            self.low + step * index for index in range(int((self.high - self.low) / step + 1e-9) + 1)
        ]
        return values


@dataclass(frozen=True)
class Choices:
    """A list of values."""

    values: tuple[Value, ...]

    def suggest(self, trial: Trial, name: str) -> Value:
        """A value for ``trial``."""
        return cast("Value", trial.suggest_categorical(name, self.values))

    def grid(self, name: str) -> list[Value]:
        """All values, for a grid."""
        return list(self.values)


Space = Mapping[str, Range | Choices]


def read_space(path: Path) -> dict[str, Range | Choices]:
    """The space written in a YAML file: ``argument: [values]`` or ``argument: {low, high, log, step}``.

    :raises DistillationError: the file is missing or an entry is neither.
    """
    if not path.is_file():
        raise DistillationError(
            f"{path}: no such file; write one `argument: [values]` or `argument: {{low, high}}` a line"
        )
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DistillationError(f"{path} is not YAML: {error}") from error
    if not isinstance(entries, dict) or not entries:
        raise DistillationError(f"{path} names no argument; write one `argument: [values]` a line")
    return {str(name): _entry(str(name), entry) for name, entry in entries.items()}


def make_range(name: str, low: float, high: float) -> Range:
    """The range of a command-line flag; learning rate and temperature are sampled on a log scale."""
    return _checked(name, Range(low, high, log=name in RATIO_SCALED))


def make_choices(name: str, text: str) -> Choices:
    """The choices of a comma-separated flag."""
    allowed = choices(name)
    values = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [value for value in values if value not in allowed]
    if unknown or not values:
        raise DistillationError(f"{name}: {', '.join(unknown) or text!r} is not one of {', '.join(allowed)}")
    return Choices(values)


def check_space(space: Space) -> None:
    """Refuse an empty space, names that are no arguments, and arguments whose change makes trials incomparable."""
    if not space:
        raise DistillationError("nothing to vary: give --alpha, --beta, --temperature, --lr or --space")
    check_arguments(space, "the space")
    for reason, names in FORBIDDEN.items():
        for name in names:
            if name in space:
                raise DistillationError(f"{name} cannot be swept: it is {reason}, and must be the same for every trial")


def describe_space(space: Space) -> dict[str, Any]:
    """The space as plain JSON values; two spaces are the same if these are."""
    return {
        name: list(entry.values) if isinstance(entry, Choices) else asdict(entry)
        for name, entry in sorted(space.items())
    }


def _entry(name: str, entry: object) -> Range | Choices:
    if isinstance(entry, list) and entry:
        return Choices(tuple(_scalar(name, value) for value in entry))
    if isinstance(entry, dict):
        unknown = sorted(set(entry) - {"low", "high", "log", "step"})
        if unknown or not {"low", "high"} <= set(entry):
            raise DistillationError(f"{name}: {entry} is no range; it takes low and high, and may have log and step")
        numbers = {key: _number(name, entry[key]) for key in ("low", "high", "step") if entry.get(key) is not None}
        return _checked(name, Range(log=bool(entry.get("log", False)), **_as_declared(name, numbers)))
    raise DistillationError(f"{name}: {entry!r} is neither a list of values nor a range {{low, high}}")


def _as_declared(name: str, numbers: Mapping[str, float | int]) -> dict[str, float | int]:
    """Whole numbers for arguments that are, floats for the others: {low: 0, high: 1} of a share is not 0 or 1."""
    declared = known_arguments().get(name, "float")  # an unknown name is refused by check_space
    if "float" in declared:
        return {key: float(value) for key, value in numbers.items()}
    if "int" not in declared:
        raise DistillationError(f"{name} is no number ({declared}): list its values")
    if any(not isinstance(value, int) for value in numbers.values()):
        raise DistillationError(f"{name} takes whole numbers only; the range is {dict(numbers)}")
    return dict(numbers)


def _checked(name: str, span: Range) -> Range:
    if not (math.isfinite(span.low) and math.isfinite(span.high) and span.low < span.high):
        raise DistillationError(f"{name}: the range {span.low:g} to {span.high:g} is empty; low must be below high")
    if span.log and (span.low <= 0 or span.step is not None):
        raise DistillationError(f"{name}: a log range needs low above 0 and no step; it is {span}")
    if span.step is not None and span.step <= 0:
        raise DistillationError(f"{name}: step is {span.step:g}; it must be above 0")
    return span


def _scalar(name: str, value: object) -> Value:
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float, str)):
        try:
            return _number(name, value)
        except DistillationError:
            return str(value)
    raise DistillationError(f"{name}: {value!r} is no single value")


def _number(name: str, value: object) -> float | int:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    try:
        return float(str(value))  # YAML reads 1e-5 as text
    except ValueError as error:
        raise DistillationError(f"{name}: {value!r} is no number") from error
