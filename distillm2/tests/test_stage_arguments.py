"""What the stage refuses before anything is loaded, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from training_runs import training_settings

from distillm2.errors import DistillationError
from distillm2.loss.objective import Divergence
from distillm2.loss.schedules import AlphaName, BetaName
from distillm2.stage.arguments import ALPHA_SCHEDULES, BETA_SCHEDULES, LOSSES, DistillationArguments
from distillm2.stage.guards import read_stage
from distillm2.stage.register import read_training_arguments


def make_arguments(**settings: Any) -> DistillationArguments:
    return DistillationArguments(stage="distillm2", **({"teacher_model": "teacher"} | settings))


def parse(tmp_path: Path, **settings: Any) -> tuple[Any, ...]:
    given = training_settings(Path("student"), Path("data"), tmp_path / "run", Path("teacher"), **settings)
    return read_training_arguments(given)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"teacher_model": None}, "needs a teacher: set `teacher_model`"),
        ({"teacher_quantization_bit": 3}, "teacher_quantization_bit is 3; allowed are 4, 8"),
        (
            {"teacher_model": None, "teacher_adapter": "lora", "teacher_quantization_bit": 4},
            "quantise that with `quantization_bit`",
        ),
        ({"distill_loss": "gkd"}, "distill_loss is 'gkd'; allowed are distillm2, distillm, kl, rkl, js"),
        ({"distill_alpha_schedule": "on"}, "distill_alpha_schedule is 'on'; allowed are fixed, adaptive"),
        ({"distill_beta_schedule": "off"}, "distill_beta_schedule is 'off'; allowed are fixed, paper, reference"),
        ({"distill_sft_weight": 1.5}, "distill_sft_weight is 1.5; allowed are 0 to 1"),
        ({"distill_temperature": 0.0}, "distill_temperature is 0.0; allowed are numbers above 0"),
        ({"distill_alpha": 1.0}, "distill_alpha is 1.0; allowed are numbers between 0 and 1"),
        ({"distill_alpha_min": 0.2}, "distill_alpha_min is 0.2; allowed are numbers above 0 and up to"),
        ({"distill_chunk_size": 0}, "distill_chunk_size is 0; allowed are whole numbers from 1"),
        ({"distill_first_epoch": 1}, "distill_total_epochs is not set"),
        ({"distill_first_epoch": 2, "distill_total_epochs": 2}, "above distill_first_epoch, 2"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DistillationError) as caught:
        make_arguments(**settings)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"teacher_quantization_bit": 4},
        {"teacher_adapter": "lora"},
        {"teacher_model": None, "teacher_adapter": "lora"},
        {"teacher_model": None, "teacher_cache": "cache"},
        {"teacher_cache": "cache"},
    ],
)
def test_every_kind_of_teacher_is_taken(settings: dict[str, Any]) -> None:
    assert make_arguments(**settings).stage == "distillm2"


def test_other_stages_need_no_teacher_and_are_not_checked() -> None:
    assert DistillationArguments(stage="sft", distill_alpha=7.0).distill_alpha == 7.0


def test_the_names_are_those_of_the_loss() -> None:
    assert get_args(Divergence) == LOSSES
    assert get_args(AlphaName) == ALPHA_SCHEDULES
    assert get_args(BetaName) == BETA_SCHEDULES


def test_a_fixed_alpha_may_lie_below_the_adaptive_ones_bound() -> None:
    assert make_arguments(distill_alpha=0.005, distill_alpha_schedule="fixed").distill_alpha == 0.005


def test_settings_are_parsed_as_a_trainings_are(tmp_path: Path) -> None:
    *_, finetuning_args, _ = parse(tmp_path, distill_alpha=0.2)
    assert finetuning_args.stage == "distillm2"
    assert finetuning_args.distill_alpha == 0.2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"moe_aux_loss_coef": 0.01}, "moe_aux_loss_coef is set"),
        ({"streaming": True}, "streaming is set"),
        ({"torch_compile": True}, "torch_compile is set"),
        ({"distill_total_epochs": 3}, "Set num_train_epochs instead of max_steps"),
        ({"fsdp": "full_shard"}, "FSDP splits the weights that the loss reads directly: use DeepSpeed ZeRO-2"),
    ],
)
def test_settings_that_the_stage_would_lose_are_refused(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DistillationError, match=message):
        parse(tmp_path, **settings)


def test_an_environment_that_would_lose_the_stage_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_MCA", "1")
    with pytest.raises(DistillationError, match="USE_MCA is set, and stage distillm2 cannot run under it"):
        parse(tmp_path)


def test_ray_is_refused_for_the_stage_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from llamafactory.train import tuner

    from distillm2.stage.register import register

    register()
    monkeypatch.setenv("USE_RAY", "1")
    settings = training_settings(Path("student"), Path("data"), tmp_path, Path("teacher"))
    with pytest.raises(DistillationError, match="use_ray is set"):
        tuner.run_exp(settings | {"use_ray": True})
    assert tuner.get_ray_args(settings | {"use_ray": True, "stage": "sft"}).use_ray


@pytest.mark.parametrize(
    ("args", "stage"),
    [
        ({"stage": "distillm2"}, "distillm2"),
        ({}, "sft"),
        (["--lora_rank", "4", "--stage", "distillm2"], "distillm2"),
        (["--stage=dpo"], "dpo"),
        (["--stage"], "sft"),
    ],
)
def test_the_stage_is_read_from_settings_and_flags(args: Any, stage: str) -> None:
    assert read_stage(args) == stage
