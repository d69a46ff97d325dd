"""Distillation whose student responses are drawn anew before every epoch (arXiv 2503.07067)."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillm2.data.dataset_info import write_whole
from distillm2.errors import DistillationError
from distillm2.experiments import tracking
from distillm2.experiments.argument_names import check_arguments
from distillm2.experiments.locking import locked
from distillm2.experiments.loop_epoch import Loop, cache, pair, sample, train_epoch
from distillm2.experiments.training_process import OnStep, check_stage

if TYPE_CHECKING:
    from rich.console import Console

    from distillm2.data.templates import TrainingTemplate

STATE = "loop.json"


@dataclass(frozen=True)
class LoopObserver:
    """What is told while a loop runs: a step that starts, one that ended with its counts, and training steps."""

    started: Callable[[int, str], None]
    ended: Callable[[int, str, Mapping[str, Any]], None]
    step: OnStep
    console: Console


def check_loop(loop: Loop) -> None:
    """Refuse settings that the loop sets itself, and a student that the server cannot serve."""
    settings = loop.settings
    check_stage(settings)
    check_arguments(settings, "the YAML")
    for name, instead in (
        ("max_steps", "the loop trains whole epochs"),
        ("eval_dataset", "the loop holds out pairs of its own: use val_size"),
        ("distill_first_epoch", "the loop sets it"),
        ("distill_total_epochs", "the loop sets it: use --epochs"),
    ):
        if settings.get(name):
            raise DistillationError(f"remove {name} from the YAML: {instead}")
    for name in ("model_name_or_path", "template"):
        if not settings.get(name):
            raise DistillationError(f"the YAML has no {name}")
    if loop.epochs < 1:
        raise DistillationError(f"--epochs is {loop.epochs}; it must be 1 or more")
    if not 0 <= loop.validation < 1:
        raise DistillationError(
            f"val_size is {loop.validation:g}; the loop takes a share of the prompts, from 0 to below 1"
        )
    if settings.get("teacher_cache") and not (settings.get("teacher_model") or settings.get("teacher_adapter")):
        raise DistillationError(
            "teacher_cache holds no log-probabilities of responses that are yet to be drawn: set teacher_model or "
            "teacher_adapter as well, and the loop makes a cache for every epoch"
        )
    if not loop.teacher_responses.is_file():
        raise DistillationError(f"{loop.teacher_responses}: no such file; write it with `distillm2 generate`")
    for epoch in range(loop.epochs):
        loop.server.check(loop.student(epoch))


def run_loop(loop: Loop, observer: LoopObserver) -> Path:
    """Sample, pair and train for every epoch; returns the folder that the last one trained.

    After each step ``loop.json`` is written: the same call on the same output goes on at the step where it was.
    Each epoch is a training of its own that starts from the last one's adapter. Learning rate, beta and alpha follow
    their schedules over all epochs; the optimizer's moments start from zero in each.

    :raises DistillationError: what :func:`check_loop` refuses, another loop in the folder or one started with other
        settings, or a step that failed (with the end of its log).
    """
    check_loop(loop)
    with locked(loop.output, "loop"):
        return _run(loop, observer)


def _run(loop: Loop, observer: LoopObserver) -> Path:
    state = _State.open(loop)
    environment = _mlflow(loop, state)
    template = functools.cache(lambda: _load_template(loop.settings))
    steps: dict[str, Callable[[int], dict[str, Any]]] = {
        "sample": lambda epoch: sample(loop, epoch, template() if loop.server.token_ids else None, observer.console),
        "pair": lambda epoch: pair(loop, epoch, template()),
        "cache": lambda epoch: cache(loop, epoch),
        "train": lambda epoch: train_epoch(loop, epoch, environment, observer.step),
    }
    if not loop.settings.get("teacher_cache"):
        del steps["cache"]
    for epoch in range(loop.epochs):
        for name, step in steps.items():
            if state.has(epoch, name):
                continue
            observer.started(epoch, name)
            counts = step(epoch)
            state.add(epoch, name, counts)
            observer.ended(epoch, name, counts)
    if "mlflow_run" in state.content:
        metrics = state.content["done"][f"{loop.epochs}.train"]["metrics"]
        tracking.finish_parent(state.content["mlflow_run"], metrics, {})
    return loop.trained(loop.epochs - 1)


def _load_template(settings: Mapping[str, Any]) -> TrainingTemplate:
    from distillm2.data.templates import load_template

    return load_template(
        str(settings["template"]),
        str(settings["model_name_or_path"]),
        thinking=settings.get("enable_thinking"),
        default_system=settings.get("default_system"),
    )


@dataclass(frozen=True)
class _State:
    path: Path
    content: dict[str, Any]

    @classmethod
    def open(cls, loop: Loop) -> _State:
        path = loop.output / STATE
        definition = _definition(loop)
        if not path.exists():
            return cls(path, {"definition": definition, "done": {}})
        content = json.loads(path.read_text(encoding="utf-8"))
        before = content["definition"]
        changed = sorted(key for key in {*before, *definition} if before.get(key) != definition.get(key))
        if changed:
            raise DistillationError(
                f"{path} was started with another {', '.join(changed)}: repeat the first call, or take another --output"
            )
        return cls(path, content)

    def has(self, epoch: int, step: str) -> bool:
        return f"{epoch + 1}.{step}" in self.content["done"]

    def add(self, epoch: int, step: str, counts: Mapping[str, Any]) -> None:
        self.content["done"][f"{epoch + 1}.{step}"] = dict(counts)
        self.save()

    def save(self) -> None:
        write_whole(self.path, json.dumps(self.content, indent=1, ensure_ascii=False))


def _definition(loop: Loop) -> dict[str, Any]:
    """What must not change while a loop goes on."""
    sampling = {f"sampling.{name}": value for name, value in dataclasses.asdict(loop.sampling).items()}
    teacher = hashlib.sha256(loop.teacher_responses.read_bytes()).hexdigest()
    values = {"epochs": loop.epochs, "teacher responses": teacher, **sampling, **loop.settings}
    plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return plain


def _mlflow(loop: Loop, state: _State) -> dict[str, str]:
    """The environment that makes each epoch's run a child of the loop's."""
    if not tracking.wanted(loop.settings):
        return {}
    tracking.prepare(loop.settings)
    if "mlflow_run" not in state.content:
        name = loop.output.resolve().name
        state.content["mlflow_run"] = tracking.start_parent(name, {"epochs": loop.epochs})
        state.save()
    return tracking.child_environment(state.content["mlflow_run"])
