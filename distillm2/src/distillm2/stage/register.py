"""Putting the stage into LLaMA-Factory: after `register` its parser, its dispatch and its launcher know it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distillm2.stage.hooks import TRAINING_HOOKS, check_hooks

STAGE_LABEL = "DistiLLM-2"
_BORROWED = "_distillm2"
_registered = False


def register() -> None:
    """Check every hook and replace what has to be; a second call changes nothing.

    :raises DistillationError: for a LLaMA-Factory that lacks a hook
    """
    global _registered
    if _registered:
        return
    check_hooks(TRAINING_HOOKS)

    from llamafactory import launcher
    from llamafactory.extras import constants
    from llamafactory.train import tuner

    from distillm2.stage.arguments import STAGE

    _register_arguments()
    constants.TRAINING_STAGES[STAGE_LABEL] = STAGE
    constants.STAGES_USE_PAIR_DATA.add(STAGE)
    tuner.get_ray_args = _refusing_ray(tuner.get_ray_args)
    tuner.get_train_args = _presenting_as_dpo(tuner.get_train_args)
    tuner.run_dpo = _running_distillm2(tuner.run_dpo)
    launcher.__file__ = str(Path(__file__).with_name("worker.py"))
    _registered = True


def read_training_arguments(settings: Mapping[str, Any]) -> tuple[Any, Any, Any, Any, Any]:
    """Parse and check a training's settings as ``distillm2 train`` does, without training.

    :return: model, data, training, fine-tuning and generating arguments; ``stage`` keeps its own name
    """
    register()
    from llamafactory.hparams import parser

    from distillm2.stage.guards import refuse_environment, refuse_settings

    refuse_environment(dict(settings))
    arguments = parser.get_train_args(dict(settings))
    refuse_settings(*arguments[:4])
    return tuple(arguments)


def _register_arguments() -> None:
    from llamafactory.hparams import parser
    from llamafactory.hparams.finetuning_args import FinetuningArguments

    from distillm2.stage.arguments import DistillationArguments

    for classes in (parser._TRAIN_ARGS, parser._INFER_ARGS, parser._EVAL_ARGS):
        classes[classes.index(FinetuningArguments)] = DistillationArguments


def _refusing_ray(original: Any) -> Any:
    from distillm2.stage.guards import refuse_ray

    @functools.wraps(original)
    def get_ray_args(args: Mapping[str, Any] | Sequence[str] | None = None) -> Any:
        ray_args = original(args)
        refuse_ray(args, ray_args)
        return ray_args

    return get_ray_args


def _presenting_as_dpo(original: Any) -> Any:
    """The dispatch has no entry for the stage: it borrows dpo's, which has the same data and callbacks."""
    from distillm2.stage.arguments import STAGE
    from distillm2.stage.guards import refuse_environment, refuse_settings

    @functools.wraps(original)
    def get_train_args(args: Mapping[str, Any] | Sequence[str] | None = None) -> Any:
        refuse_environment(args)
        model_args, data_args, training_args, finetuning_args, generating_args = original(args)
        if finetuning_args.stage == STAGE:
            refuse_settings(model_args, data_args, training_args, finetuning_args)
            finetuning_args.stage = "dpo"
            setattr(finetuning_args, _BORROWED, True)
        return model_args, data_args, training_args, finetuning_args, generating_args

    return get_train_args


def _running_distillm2(original: Any) -> Any:
    from distillm2.stage.arguments import STAGE

    @functools.wraps(original)
    def run_dpo(
        model_args: Any, data_args: Any, training_args: Any, finetuning_args: Any, callbacks: list[Any] | None = None
    ) -> None:
        if not getattr(finetuning_args, _BORROWED, False):
            original(model_args, data_args, training_args, finetuning_args, callbacks)
            return
        from distillm2.stage.workflow import run_distillm2

        finetuning_args.stage = STAGE
        run_distillm2(model_args, data_args, training_args, finetuning_args, callbacks or [])

    return run_dpo
