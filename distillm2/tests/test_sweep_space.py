"""What may be swept, how it is written down, and which metrics compare trials."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest

from distillm2.errors import DistillationError
from distillm2.experiments.sweep_metric import check_metric, pick_metric, read_metrics
from distillm2.experiments.sweep_space import (
    Choices,
    Range,
    check_space,
    describe_space,
    make_choices,
    make_range,
    read_space,
)

SPACE = """
distill_alpha: {low: 0.05, high: 0.2}
learning_rate: {low: 1e-5, high: 1e-4, log: true}
lora_rank: {low: 8, high: 64, step: 8}
distill_beta_schedule: [fixed, paper]
warmup_ratio: [0, 0.1, 1e-2]
"""


@pytest.fixture
def space_file(tmp_path: Path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE, encoding="utf-8")
    return path


def test_numbers_that_yaml_reads_as_text_are_numbers(space_file: Path) -> None:
    space = read_space(space_file)
    assert space["learning_rate"] == Range(1e-5, 1e-4, log=True)
    assert space["lora_rank"] == Range(8, 64, step=8)
    assert space["distill_beta_schedule"] == Choices(("fixed", "paper"))
    assert space["warmup_ratio"] == Choices((0, 0.1, 0.01))


def test_suggestions_lie_in_the_space_and_keep_their_types(space_file: Path) -> None:
    space = read_space(space_file)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    ranks = set()
    for _ in range(40):
        trial = study.ask()
        values = {name: entry.suggest(trial, name) for name, entry in space.items()}
        assert 0.05 <= values["distill_alpha"] <= 0.2
        assert 1e-5 <= values["learning_rate"] <= 1e-4
        assert isinstance(values["lora_rank"], int)
        assert values["distill_beta_schedule"] in ("fixed", "paper")
        ranks.add(values["lora_rank"])
    assert ranks <= set(range(8, 65, 8))
    assert len(ranks) > 4


def test_a_grid_has_every_value_and_refuses_a_continuous_range(space_file: Path) -> None:
    space = read_space(space_file)
    assert space["lora_rank"].grid("lora_rank") == [8, 16, 24, 32, 40, 48, 56, 64]
    assert Range(0.1, 0.4, step=0.1).grid("x") == pytest.approx([0.1, 0.2, 0.3, 0.4])
    with pytest.raises(DistillationError, match=r"distill_alpha: a grid .* list the values, or give a step"):
        space["distill_alpha"].grid("distill_alpha")


def test_flags_become_ranges_and_choices() -> None:
    assert make_range("learning_rate", 1e-5, 1e-4) == Range(1e-5, 1e-4, log=True)
    assert make_range("distill_alpha", 0.05, 0.2) == Range(0.05, 0.2)
    assert make_choices("distill_beta_schedule", "fixed, paper") == Choices(("fixed", "paper"))
    with pytest.raises(DistillationError, match="'papr' is not one of fixed, paper, reference"):
        make_choices("distill_beta_schedule", "fixed,papr")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("distill_alpha: {low: 0.2, high: 0.05}", "low must be below high"),
        ("distill_alpha: {low: 0.2}", "it takes low and high"),
        ("distill_alpha: {low: 0.1, high: 0.2, lgo: true}", "it takes low and high"),
        ("learning_rate: {low: 0, high: 1, log: true}", "a log range needs low above 0"),
        ("learning_rate: {low: fast, high: 1}", "'fast' is no number"),
        ("learning_rate: 1.0e-4", "neither a list of values nor a range"),
        ("learning_rate: []", "neither a list of values nor a range"),
        ("lora_rank: {low: 8, high: 64, step: 0}", "must be above 0"),
        ("lora_rank: {low: 0.5, high: 8}", "lora_rank takes whole numbers only"),
        ("distill_loss: {low: 0, high: 1}", "distill_loss is no number .*: list its values"),
        ("[a, b]", "names no argument"),
        ("a: [", "is not YAML"),
        ("lora_rank: [8] # \udce9", "is not YAML: 'utf-8' codec can't decode"),
    ],
)
def test_a_bad_space_is_refused_with_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(DistillationError, match=message):
        read_space(path)


@pytest.mark.parametrize("name", ["seed", "val_size", "teacher_model", "cutoff_len", "output_dir"])
def test_what_would_change_the_measure_cannot_be_swept(name: str) -> None:
    with pytest.raises(DistillationError, match=f"{name} cannot be swept"):
        check_space({name: Choices(("a", "b"))})


def test_a_misspelt_argument_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(
        DistillationError, match="distill_alfa is no argument of a training; did you mean distill_alpha"
    ):
        check_space({"distill_alfa": Choices((0.1, 0.2))})


@pytest.mark.parametrize(("name", "whole"), [("lora_dropout", False), ("distill_alpha", False), ("lora_alpha", True)])
def test_whole_ends_mean_whole_numbers_for_whole_arguments_only(tmp_path: Path, name: str, whole: bool) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(f"{name}: {{low: 0, high: 1}}\n", encoding="utf-8")
    entry = read_space(path)[name]
    assert isinstance(entry, Range)
    assert entry.whole is whole


def test_an_empty_space_is_refused() -> None:
    with pytest.raises(DistillationError, match="nothing to vary"):
        check_space({})


def test_spaces_are_compared_by_their_values(space_file: Path) -> None:
    described = describe_space(read_space(space_file))
    assert json.loads(json.dumps(described)) == described
    assert described["lora_rank"] == {"low": 8, "high": 64, "log": False, "step": 8}


@pytest.mark.parametrize("name", ["distill_alpha", "distill_beta_schedule", "distill_temperature", "distill_loss"])
def test_the_objective_is_no_metric_for_arguments_that_redefine_it(name: str) -> None:
    with pytest.raises(DistillationError, match=f"eval_loss is the objective itself, and {name} changes"):
        check_metric("eval_loss", [name, "learning_rate"])
    assert check_metric("eval_kl", [name]) is None
    warning = check_metric("my_score", [name])
    assert warning is not None
    assert name in warning


def test_the_objective_compares_trials_that_share_it() -> None:
    assert check_metric("eval_loss", ["learning_rate", "lora_rank"]) is None


def test_a_metric_that_is_missing_or_not_finite_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "all_results.json").write_text('{"eval_kl": NaN, "eval_rkl": 0.5, "note": "x"}', encoding="utf-8")
    metrics = read_metrics(tmp_path)
    assert pick_metric(metrics, "eval_rkl") == 0.5
    with pytest.raises(DistillationError, match="eval_kl is nan: the training diverged"):
        pick_metric(metrics, "eval_kl")
    with pytest.raises(DistillationError, match=r"no bleu in all_results\.json; it has eval_kl, eval_rkl"):
        pick_metric(metrics, "bleu")
    with pytest.raises(DistillationError, match="was not written"):
        read_metrics(tmp_path / "none")
