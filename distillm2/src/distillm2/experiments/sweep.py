"""A search over training arguments in which every trial is a real training in its own process."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillm2.errors import DistillationError
from distillm2.experiments import tracking
from distillm2.experiments.argument_names import check_arguments
from distillm2.experiments.locking import locked
from distillm2.experiments.sweep_metric import check_metric, pick_metric, read_metrics
from distillm2.experiments.sweep_space import check_space, describe_space
from distillm2.experiments.sweep_study import (
    Sweep,
    completed_trials,
    ended_trials,
    open_study,
    record_failure,
    repeat_killed,
)
from distillm2.experiments.training_process import OnStep, check_stage, tail, train, write_settings

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial

HOPELESS = 3


@dataclass(frozen=True)
class Observer:
    """What is told while a sweep runs: a trial that starts, its steps, and a trial that ended (value or error)."""

    started: Callable[[int, Mapping[str, Any]], None]
    step: OnStep
    ended: Callable[[int, float | None, str | None], None]


def check_sweep(sweep: Sweep) -> str | None:
    """Refuse what could not work; return a warning about the metric, if there is one."""
    check_stage(sweep.settings)
    check_arguments(sweep.settings, "the YAML")
    check_space(sweep.space)
    if sweep.trials < 1:
        raise DistillationError(f"--trials is {sweep.trials}; it must be 1 or more")
    if sweep.metric.startswith("eval_") and not (sweep.settings.get("val_size") or sweep.settings.get("eval_dataset")):
        raise DistillationError(
            f"{sweep.metric} needs held-out pairs: set val_size (say 0.1) or eval_dataset in the training's YAML"
        )
    sweep.searched()
    return check_metric(sweep.metric, list(sweep.space))


def run_sweep(sweep: Sweep, observer: Observer) -> Study:
    """Train trials until the study has ``sweep.trials`` of them; ``best.yaml`` is kept up to date.

    The same call on the same output folder goes on: finished trials stay, a trial that was killed is repeated.
    A training that fails is a failed trial with the end of its log, and the sweep goes on.

    :raises DistillationError: what :func:`check_sweep` refuses, another sweep running in the folder, results without
        the metric, or no trial that succeeded (after three failures from the start the rest is not tried).
    """
    check_sweep(sweep)
    with locked(sweep.output, "sweep"):
        return _run(sweep, observer)


def best_settings(sweep: Sweep, study: Study) -> dict[str, Any]:
    """The user's settings with the best trial's parameters, to be trained into ``<output>/best``."""
    best = completed_trials(study)[0]
    return {**sweep.settings, **best.params, "output_dir": str(sweep.output / "best")}


def _run(sweep: Sweep, observer: Observer) -> Study:
    study, space, total = open_study(sweep), sweep.searched(), sweep.trials
    if sweep.sampler == "grid":
        total = min(total, len(sweep.grid_points()))
    repeat_killed(study)
    parent = _mlflow_parent(sweep, study)
    failures = 0
    while len(ended_trials(study)) < total and (failures < HOPELESS or completed_trials(study)):
        trial = study.ask()
        parameters = {name: entry.suggest(trial, name) for name, entry in space.items()}
        observer.started(trial.number, parameters)
        try:
            value = _run_trial(sweep, trial, parameters, observer.step, parent)
        except DistillationError as error:
            record_failure(study, trial, error)
            failures += 1
            observer.ended(trial.number, None, str(error))
            continue
        study.tell(trial, value)
        write_settings(sweep.output / "best.yaml", best_settings(sweep, study))
        observer.ended(trial.number, value, None)
    completed, ended = completed_trials(study), ended_trials(study)
    if not completed:
        raise DistillationError(
            f"all {len(ended)} trials failed, the last one with:\n{ended[-1].user_attrs['failure']}\n"
            f"Their settings and logs are in {sweep.output / 'trials'}. Mend the settings and take another --output"
        )
    if parent:
        outcome = {"best_trial": completed[0].number, **completed[0].params}
        tracking.finish_parent(parent, {f"best_{sweep.metric}": completed[0].values[0]}, outcome)
    return study


def _run_trial(sweep: Sweep, trial: Trial, parameters: Mapping[str, Any], on_step: OnStep, parent: str | None) -> float:
    folder = sweep.folder(trial.number)
    adapter, log, settings = folder / "adapter", folder / "train.log", folder / "train.yaml"
    write_settings(settings, _trial_settings(sweep, trial.number, parameters, adapter))
    environment = tracking.child_environment(parent, trial=str(trial.number)) if parent else {}
    began = time.monotonic()
    status = train(settings, adapter, log, environment, on_step)
    trial.set_user_attr("seconds", round(time.monotonic() - began, 1))
    if status != 0:
        raise DistillationError(f"the training ended with status {status} ({log}):\n{tail(log)}")
    metrics = read_metrics(adapter)
    value = pick_metric(metrics, sweep.metric)
    trial.set_user_attr("metrics", {name: figure for name, figure in metrics.items() if math.isfinite(figure)})
    trial.set_user_attr("adapter", str(adapter))
    return value


def _trial_settings(sweep: Sweep, number: int, parameters: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """The arguments of one trial; it keeps no checkpoints (a killed one is repeated), unless the best is loaded."""
    settings = {**sweep.settings, **parameters, "output_dir": str(output), "do_train": True, "do_eval": True}
    settings.pop("resume_from_checkpoint", None)
    settings["run_name"] = f"{sweep.output.resolve().name}-{number:04d}"
    if not settings.get("load_best_model_at_end"):
        settings["save_strategy"] = "no"
    return settings


def _mlflow_parent(sweep: Sweep, study: Study) -> str | None:
    if not tracking.wanted(sweep.settings):
        return None
    tracking.prepare(sweep.settings)
    if "mlflow_run" not in study.user_attrs:
        spaces = {f"space.{name}": json.dumps(entry) for name, entry in describe_space(sweep.space).items()}
        study.set_user_attr("mlflow_run", tracking.start_parent(study.study_name, {"metric": sweep.metric, **spaces}))
    run_id: str = study.user_attrs["mlflow_run"]
    return run_id
