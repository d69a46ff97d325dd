"""From log-probabilities to scores in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt scaling (Platt 1999): log-odds times ``slope`` plus ``intercept``, through the logistic function."""

    slope: float
    intercept: float

    def __call__(self, raw: float) -> float:
        """The score of log-odds ``raw``, in [0, 1]."""
        z = self.slope * raw + self.intercept
        return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def log_softmax(values: Sequence[float]) -> list[float]:
    """Log-probabilities of labels among themselves, from those over the whole vocabulary."""
    highest = max(values)
    total = highest + math.log(math.fsum(math.exp(value - highest) for value in values))
    return [value - total for value in values]


def against_chance(logprobs: Sequence[float]) -> list[float]:
    """log p + log n of each of n labels that compete: how much likelier it is than by chance.

    A softmax shares out one unit of probability, so p alone falls with every further passage;
    over the chance of 1 / n it compares between windows of different sizes. Like log-odds it is 0
    for "no better than any other" and unbounded below; above, n passages cannot say more than log n.
    """
    return [value + math.log(len(logprobs)) for value in logprobs]


def margin(logprobs: Sequence[float]) -> float:
    """The probability of the likeliest label less that of the second."""
    first, second = sorted(logprobs, reverse=True)[:2]
    return math.exp(first) - math.exp(second)
