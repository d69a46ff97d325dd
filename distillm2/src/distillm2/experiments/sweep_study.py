"""What is searched, and the Optuna study that remembers it across interruptions."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from distillm2.errors import DistillationError
from distillm2.experiments.sweep_metric import MissingMetricError
from distillm2.experiments.sweep_space import Choices, Space, Value, describe_space

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

SamplerName = Literal["tpe", "random", "grid"]


@dataclass(frozen=True)
class Sweep:
    """What is searched, from which settings, by which metric, and where it is written."""

    settings: Mapping[str, Any]
    space: Space
    output: Path
    trials: int
    metric: str
    maximize: bool = False
    sampler: SamplerName = "tpe"
    storage: str | None = None
    seed: int = 0

    def folder(self, number: int) -> Path:
        """Where trial ``number`` keeps its settings, its log and its adapter."""
        return self.output / "trials" / f"{number:04d}"

    def searched(self) -> Space:
        """The space as it is sampled: for a grid, every range as the list of its values."""
        if self.sampler != "grid":
            return self.space
        return {name: Choices(tuple(entry.grid(name))) for name, entry in self.space.items()}

    def grid_points(self) -> list[dict[str, Value]]:
        """The combinations of a grid in a drawn order, so that its first trials are spread; none for other samplers."""
        if self.sampler != "grid":
            return []
        values = [entry.grid(name) for name, entry in self.space.items()]
        points = [dict(zip(self.space, point, strict=True)) for point in itertools.product(*values)]
        random.Random(self.seed).shuffle(points)
        return points


def open_study(sweep: Sweep) -> Study:
    """Create the study of the output folder, or go on with it.

    :raises DistillationError: the store cannot be opened, or its study was started with another metric, space or
        settings.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            study_name=sweep.output.resolve().name,
            storage=sweep.storage or f"sqlite:///{(sweep.output / 'study.db').resolve()}",
            direction="maximize" if sweep.maximize else "minimize",
            load_if_exists=True,
        )
    except (SQLAlchemyError, ImportError, optuna.exceptions.OptunaError) as error:
        raise DistillationError(
            f"the study's store cannot be opened: {error}. --storage takes a URL such as sqlite:///sweeps/study.db"
        ) from error
    definition = _definition(sweep)
    before = study.user_attrs.get("definition")
    if before is None:
        for point in sweep.grid_points():
            study.enqueue_trial(point, skip_if_exists=True)
        study.set_user_attr("definition", definition)
    elif before != definition:
        changed = ", ".join(key for key in definition if before.get(key) != definition[key])
        raise DistillationError(
            f"the study {study.study_name!r} was started with another {changed}; its trials would not be comparable. "
            "Repeat the first call, or take another --output"
        )
    study.sampler = _sampler(sweep, drawn=len(study.get_trials(deepcopy=False)))
    return study


def ended_trials(study: Study) -> list[FrozenTrial]:
    """Trials that came to an end of their own, completed or failed; not those that were killed."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.values is not None or "failure" in trial.user_attrs]


def completed_trials(study: Study) -> list[FrozenTrial]:
    """Trials with a value, best first."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.values is not None]
    return sorted(trials, key=lambda trial: trial.values[0], reverse=study.direction.name == "MAXIMIZE")


def record_failure(study: Study, trial: Trial, error: DistillationError) -> None:
    """End a trial that came to no value; when it lacks just the metric, and no trial has had it, none ever will.

    :raises DistillationError: then; the trial does not count as failed
    """
    from optuna.trial import TrialState

    if isinstance(error, MissingMetricError) and not completed_trials(study):
        raise DistillationError(f"{error}; give one of these as --metric, and another --output") from error
    trial.set_user_attr("failure", str(error))
    study.tell(trial, state=TrialState.FAIL)


def repeat_killed(study: Study) -> None:
    """Close trials whose process died and queue their parameters again; none may be running."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params, user_attrs={"repeats": trial.number})


def _definition(sweep: Sweep) -> dict[str, Any]:
    definition = {
        "output": str(sweep.output.resolve()),
        "metric": sweep.metric,
        "maximize": sweep.maximize,
        "sampler": sweep.sampler,
        "space": describe_space(sweep.space),
        "settings": dict(sweep.settings),
    }
    plain: dict[str, Any] = json.loads(json.dumps(definition, default=str))
    return plain


def _sampler(sweep: Sweep, drawn: int) -> BaseSampler:
    from optuna import samplers

    seed = sweep.seed + drawn  # a study that goes on must not draw its first points again
    return samplers.TPESampler(seed=seed) if sweep.sampler == "tpe" else samplers.RandomSampler(seed=seed)
