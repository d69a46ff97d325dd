"""Which figures of different trials may be compared: those that the swept arguments do not themselves redefine."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from pathlib import Path

from distillm2.errors import DistillationError

DEFAULT_METRIC = "eval_kl"
COMPARABLE = ("eval_kl", "eval_rkl", "eval_nll")
DEFINES_THE_LOSS = (
    "distill_loss",
    "distill_sft_weight",
    "distill_temperature",
    "distill_alpha",
    "distill_alpha_schedule",
    "distill_alpha_min",
    "distill_beta_schedule",
)


class MissingMetricError(DistillationError):
    """A training came to its end, and its results do not have the metric."""


def check_metric(metric: str, swept: Collection[str]) -> str | None:
    """Refuse a metric that the swept arguments redefine; return a warning for one whose meaning is unknown here.

    ``eval_loss`` with another alpha or temperature is another quantity: the smallest of its values says which
    objective is small, not which student is good. ``eval_kl``, ``eval_rkl`` and ``eval_nll`` are taken at
    temperature 1, unskewed and unweighted, whatever is trained on.
    """
    if metric in COMPARABLE:
        return None
    redefining = [name for name in DEFINES_THE_LOSS if name in swept]
    if not redefining:
        return None
    if metric in ("eval_loss", "train_loss"):
        raise DistillationError(
            f"{metric} is the objective itself, and {', '.join(redefining)} changes what it measures: its values "
            f"cannot be compared between trials. Use --metric {' or '.join(COMPARABLE)}, or sweep arguments that leave "
            "the objective alone (learning_rate, lora_rank)"
        )
    return (
        f"{metric}: make sure that it does not depend on {', '.join(redefining)}; "
        f"{', '.join(COMPARABLE)} are known not to"
    )


def read_metrics(output: Path) -> dict[str, float]:
    """The figures of a finished training, from its ``all_results.json``."""
    path = output / "all_results.json"
    if not path.is_file():
        raise DistillationError(f"{path} was not written: the training did not get to its end")
    figures = json.loads(path.read_text(encoding="utf-8"))
    return {name: float(value) for name, value in figures.items() if isinstance(value, (int, float))}


def pick_metric(metrics: dict[str, float], metric: str) -> float:
    """The value of ``metric``; missing or not finite is an error that says what there is."""
    if metric not in metrics:
        raise MissingMetricError(f"no {metric} in all_results.json; it has {', '.join(sorted(metrics))}")
    if not math.isfinite(metrics[metric]):
        raise DistillationError(f"{metric} is {metrics[metric]}: the training diverged")
    return metrics[metric]
