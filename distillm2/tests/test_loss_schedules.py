"""Schedules of alpha and of the two responses' weights."""

from __future__ import annotations

import math

import pytest
import torch

from distillm2.errors import DistillationError
from distillm2.loss.schedules import AlphaSchedule, BetaSchedule, response_gap


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("fixed", [(1, 1), (1, 1), (1, 1), (1, 1)]),
        ("paper", [(0.5, 0.5), (0.5, 0.5), (0.25, 0.75), (0, 1)]),
        ("reference", [(1, 1), (0.5, 1.5), (0.5, 1.5), (0.5, 1.5)]),
    ],
)
def test_weights_over_a_run(name: str, weights: list[tuple[float, float]]) -> None:
    schedule = BetaSchedule(name)  # type: ignore[arg-type]
    for step, expected in zip((0, 200, 300, 400), weights, strict=True):
        teacher, student, beta = schedule(step, 400)
        assert (teacher, student) == pytest.approx(expected)
        assert student == beta


def test_weights_grow_step_by_step_and_survive_a_run_without_steps() -> None:
    betas = [BetaSchedule("reference")(step, 10).beta for step in range(6)]
    assert betas == pytest.approx([1, 1.1, 1.2, 1.3, 1.4, 1.5])
    assert BetaSchedule("paper")(0, 0) == (0.5, 0.5, 0.5)


def test_alpha_follows_the_gap_from_the_second_epoch_on() -> None:
    schedule = AlphaSchedule("adaptive", 0.1, 0.01)
    gap = torch.tensor([0.2, 0.21, 0.204, 0.1, 0.0, -1e-5, -0.3])
    anchor = 0.2
    expected = [0.1 + 0.9 * 1e-5 / 0.2, 0.1, 1 - 0.9 * 0.2 / (0.204 + 1e-5), 0.01, 0.01, 0.01, 0.01]
    found = schedule(gap, anchor, 1)
    assert found.tolist() == pytest.approx([min(0.1, value) for value in expected], abs=1e-6)
    assert schedule(gap, anchor, 0).tolist() == pytest.approx([0.1] * 7)
    assert schedule(gap, None, 3).tolist() == pytest.approx([0.1] * 7)
    assert AlphaSchedule("fixed", 0.3)(gap, anchor, 2).tolist() == pytest.approx([0.3] * 7)


def test_an_anchor_below_zero_makes_alpha_a_switch() -> None:
    found = AlphaSchedule("adaptive", 0.1, 0.01)(torch.tensor([0.3, 1e-6, 0.0, -0.3]), -0.2, 1)
    assert found.tolist() == pytest.approx([0.1, 0.1, 0.01, 0.01])


def test_the_gap_is_in_favour_of_the_writer() -> None:
    teacher, student = torch.tensor([-0.5, -0.5]), torch.tensor([-1.0, -1.0])
    gap = response_gap(teacher, student, torch.tensor([False, True]))
    difference = math.exp(-0.5) - math.exp(-1.0)
    assert gap.tolist() == pytest.approx([difference, -difference])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BetaSchedule("linear"), "distill_beta_schedule is 'linear'"),  # type: ignore[arg-type]
        (lambda: AlphaSchedule("linear"), "distill_alpha_schedule is 'linear'"),  # type: ignore[arg-type]
        (lambda: AlphaSchedule(alpha=0.0), "distill_alpha is 0.0"),
        (lambda: AlphaSchedule(alpha=1.0), "distill_alpha is 1.0"),
        (lambda: AlphaSchedule(alpha=0.1, alpha_min=0.2), "distill_alpha_min is 0.2"),
        (lambda: AlphaSchedule(alpha_min=0.0), "distill_alpha_min is 0.0"),
    ],
)
def test_out_of_range(make: object, message: str) -> None:
    with pytest.raises(DistillationError, match=message):
        make()  # type: ignore[operator]
