"""What the loss refuses by name, and what it leaves alone."""

from __future__ import annotations

import pytest
import torch
from loss_cases import logits_case, random_case

from distillm2.errors import DistillationError
from distillm2.loss.chunked import distillation_loss
from distillm2.loss.objective import Objective
from distillm2.loss.targets import HeadTarget


def test_a_trainable_head_parameter_left_out_is_named() -> None:
    case = random_case()
    bias = torch.zeros(64, requires_grad=True)
    with pytest.raises(DistillationError, match=r"shape \(64,\).*head_parameters"):
        distillation_loss(
            case.hidden.requires_grad_(),
            lambda rows: rows @ case.weight.t() + bias,
            case.head_target,
            case.labels,
            case.student_written,
            case.alpha,
            case.token_weight,
            case.sft_weight,
            Objective(),
            7,
            case.vocabulary,
        )


def test_the_inputs_are_left_as_they_were() -> None:
    """A head that hands its input back must not have it overwritten."""
    logits, teacher = torch.randn(4, 9), torch.randn(4, 9)
    case = logits_case(logits.clone(), teacher.clone())
    distillation_loss(
        case.hidden.requires_grad_(),
        lambda rows: rows,
        HeadTarget(case.teacher_hidden, lambda rows: rows),
        case.labels,
        case.student_written,
        case.alpha,
        case.token_weight,
        case.sft_weight,
        Objective("kl"),
        3,
        9,
    )
    assert torch.equal(case.hidden, logits)
    assert torch.equal(case.teacher_hidden, teacher)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.full((23,), -100)}, "response tokens only"),
        ({"labels": torch.full((23,), 61)}, "0 to 60"),
        ({"alpha": torch.zeros(23)}, "alpha must lie"),
        ({"alpha": torch.ones(23)}, "alpha must lie"),
        ({"alpha": torch.full((23,), torch.nan)}, "alpha must lie"),
        ({"token_weight": torch.ones(22)}, r"weight has the shape \(22,\)"),
        ({"teacher_hidden": torch.ones(22, 24)}, "for 22 tokens"),
        ({"vocabulary": 65}, "64 logits"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    case = random_case()
    for key, value in change.items():
        setattr(case, key, value)
    with pytest.raises(DistillationError, match=message):
        case.ours(case.head_target, Objective())


@pytest.mark.parametrize(
    "wrong", [{"divergence": "jsd"}, {"temperature": 0.0}, {"temperature": float("nan")}, {"sft_weight": 1.5}]
)
def test_objectives_out_of_range(wrong: dict[str, object]) -> None:
    with pytest.raises(DistillationError, match=r"distill_"):
        Objective(**wrong)  # type: ignore[arg-type]
