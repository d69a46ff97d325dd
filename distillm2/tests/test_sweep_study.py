"""The study of a sweep: what it remembers, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distillm2.errors import DistillationError
from distillm2.experiments.sweep import check_sweep
from distillm2.experiments.sweep_metric import MissingMetricError
from distillm2.experiments.sweep_space import Choices, Range
from distillm2.experiments.sweep_study import (
    Sweep,
    completed_trials,
    ended_trials,
    open_study,
    record_failure,
    repeat_killed,
)

SPACE = {"distill_alpha": Range(0.05, 0.2), "lora_rank": Choices((4, 8, 16))}


def make_sweep(output: Path, **changes: Any) -> Sweep:
    """A sweep whose trials are not trained here."""
    given: dict[str, Any] = {
        "settings": {"stage": "distillm2", "val_size": 0.1},
        "space": SPACE,
        "trials": 4,
        "metric": "eval_kl",
        "sampler": "random",
    }
    output.mkdir(parents=True, exist_ok=True)
    return Sweep(output=output, **(given | changes))


def test_a_study_that_goes_on_draws_new_points(tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path / "s")
    drawn = []
    for _ in range(4):
        study = open_study(sweep)
        trial = study.ask()
        drawn.append(SPACE["distill_alpha"].suggest(trial, "distill_alpha"))
        study.tell(trial, 1.0)
    assert len(set(drawn)) == 4


def test_killed_trials_are_queued_again_and_do_not_count(tmp_path: Path) -> None:
    study = open_study(make_sweep(tmp_path / "s"))
    killed = study.ask()
    alpha = SPACE["distill_alpha"].suggest(killed, "distill_alpha")
    reopened = open_study(make_sweep(tmp_path / "s"))
    repeat_killed(reopened)
    assert ended_trials(reopened) == []
    again = reopened.ask()
    assert SPACE["distill_alpha"].suggest(again, "distill_alpha") == alpha
    assert again.user_attrs == {"repeats": 0}


def test_a_grid_tries_every_combination_once_in_a_drawn_order(tmp_path: Path) -> None:
    space = {"a": Choices((1, 2, 3)), "b": Range(0.1, 0.3, step=0.1)}
    sweep = make_sweep(tmp_path / "s", sampler="grid", space=space)
    points = []
    for _ in range(9):
        study = open_study(sweep)
        trial = study.ask()
        points.append(tuple(entry.suggest(trial, name) for name, entry in sweep.searched().items()))
        study.tell(trial, 1.0)
    assert len(set(points)) == 9
    assert points != sorted(points)


def test_results_without_the_metric_end_the_sweep_at_once(tmp_path: Path) -> None:
    """The trial does not count as failed; once some trial had the metric, a lack of it is a failure."""
    study = open_study(make_sweep(tmp_path / "s"))
    error = MissingMetricError("no eval_lk in all_results.json; it has eval_kl")
    with pytest.raises(DistillationError, match="it has eval_kl; give one of these as --metric"):
        record_failure(study, study.ask(), error)
    assert ended_trials(study) == []
    study.tell(study.ask(), 1.0)
    record_failure(study, study.ask(), error)
    assert [trial.user_attrs.get("failure") for trial in ended_trials(study)] == [None, str(error)]


@pytest.mark.parametrize("storage", ["foo", "sqlite:////no/such/folder/study.db", "nosuchbase://localhost/x"])
def test_a_store_that_cannot_be_opened_is_refused(tmp_path: Path, storage: str) -> None:
    with pytest.raises(DistillationError, match="the study's store cannot be opened"):
        open_study(make_sweep(tmp_path / "s", storage=storage))


@pytest.mark.parametrize(("maximize", "order"), [(False, [1.0, 2.0, 3.0]), (True, [3.0, 2.0, 1.0])])
def test_completed_trials_are_sorted_by_the_metric(tmp_path: Path, maximize: bool, order: list[float]) -> None:
    study = open_study(make_sweep(tmp_path / "s", maximize=maximize))
    for value in (2.0, 1.0, 3.0):
        study.tell(study.ask(), value)
    assert [trial.values[0] for trial in completed_trials(study)] == order


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"metric": "eval_rkl"}, "metric"),
        ({"space": {"distill_alpha": Range(0.05, 0.3)}}, "space"),
        ({"settings": {"stage": "distillm2", "val_size": 0.2}}, "settings"),
        ({"maximize": True}, "maximize"),
    ],
)
def test_a_study_of_something_else_is_refused(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    open_study(make_sweep(tmp_path / "s"))
    with pytest.raises(
        DistillationError, match=f"was started with another {named}; its trials would not be comparable"
    ):
        open_study(make_sweep(tmp_path / "s", **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"stage": "distillm2"}}, "eval_kl needs held-out pairs: set val_size"),
        ({"settings": {"stage": "sft", "val_size": 0.1}}, "stage is 'sft'"),
        ({"metric": "eval_loss"}, "eval_loss is the objective itself, and distill_alpha changes"),
        ({"trials": 0}, "--trials is 0"),
        ({"sampler": "grid"}, "distill_alpha: a grid cannot try every number"),
        ({"space": {}}, "nothing to vary"),
        ({"space": {"lr": Choices((1, 2))}}, "the space: lr is no argument"),
        ({"settings": {"stage": "distillm2", "val_sise": 0.1}}, "did you mean val_size"),
    ],
)
def test_a_sweep_that_cannot_work_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DistillationError, match=message):
        check_sweep(make_sweep(tmp_path / "s", **changes))
