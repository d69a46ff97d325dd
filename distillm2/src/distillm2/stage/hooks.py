"""The places of LLaMA-Factory and transformers that the stage relies on, as a table that is checked at start."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from packaging.specifiers import SpecifierSet

from distillm2.errors import DistillationError

SUPPORTED = SpecifierSet(">=0.9.3,<0.10", prereleases=True)


@dataclass(frozen=True)
class Hook:
    """One place that is replaced or called.

    ``name`` may be dotted (a method of a class). ``kind`` is its type; a ``callable`` must take ``parameters``.
    ``contains`` must be a member of it, or the name of a class in it or of a base of one, or, of a callable, a name
    that it looks up. ``used_by`` is a function of
    the same module that must look it up by name at run time, since a replacement would have no effect otherwise.
    """

    module: str
    name: str
    parameters: tuple[str, ...] = ()
    kind: type | None = None
    contains: str = ""
    used_by: str = ""
    purpose: str = ""

    def find_fault(self) -> str | None:
        """What is wrong with it in the installed release, or None."""
        try:
            target: Any = _resolve(self.module, self.name)
        except (ImportError, AttributeError) as error:
            return f"it is missing ({error})"
        if self.kind is not None:
            if not isinstance(target, self.kind):
                return f"it is a {type(target).__name__}, expected is a {self.kind.__name__}"
            members: Any = target
            if self.contains and not any(self.contains in _names(item) for item in members):
                return f"it does not contain {self.contains}"
        elif not callable(target):
            return f"it is a {type(target).__name__}, expected is a callable"
        else:
            missing = [name for name in self.parameters if name not in _parameter_names(target)]
            if missing:
                return f"it does not take {', '.join(missing)}"
            if self.contains and self.contains not in inspect.unwrap(target).__code__.co_names:
                return f"it does not use {self.contains}"
        if self.used_by:
            try:
                names = inspect.unwrap(_resolve(self.module, self.used_by)).__code__.co_names
            except AttributeError:
                return f"its user {self.used_by} is missing"
            if self.name not in names:
                return f"{self.used_by} does not use it"
        return None


def check_hooks(hooks: Iterable[Hook]) -> None:
    """Raise `DistillationError` that names the release and each hook it does not have as expected."""
    installed = version("llamafactory")
    faults = [f"{hook.module}.{hook.name}: {fault}" for hook in hooks if (fault := hook.find_fault())]
    if faults or installed not in SUPPORTED:
        detail = "; ".join(faults) or "its hooks look as expected, and it has not been tried"
        raise DistillationError(
            f"LLaMA-Factory {installed} is not one that distillm2 knows: {detail}. "
            "What works is 0.9.3 to 0.9.x: pip install 'llamafactory>=0.9.3,<0.10'."
        )


def _resolve(module: str, name: str) -> Any:
    target: Any = importlib.import_module(module)
    for part in name.split("."):
        target = getattr(target, part)
    return target


def _names(item: Any) -> set[Any]:
    return {base.__name__ for base in item.__mro__} if isinstance(item, type) else {item}


def _parameter_names(target: Any) -> set[str]:
    """The names of its parameters; a replacement that was put in place already shows those of the original."""
    return set(inspect.signature(target).parameters)


_TUNER = "llamafactory.train.tuner"
_PARSER = "llamafactory.hparams.parser"
_CONSTANTS = "llamafactory.extras.constants"
_RUN = ("model_args", "data_args", "training_args", "finetuning_args", "callbacks")

TRAINING_HOOKS: tuple[Hook, ...] = (
    Hook(
        _PARSER,
        "_TRAIN_ARGS",
        kind=list,
        contains="FinetuningArguments",
        purpose="the stage's fields are read from YAML and flags",
    ),
    Hook(
        _PARSER,
        "_INFER_ARGS",
        kind=list,
        contains="FinetuningArguments",
        purpose="the same YAML can be exported and chatted with",
    ),
    Hook(_PARSER, "_EVAL_ARGS", kind=list, contains="FinetuningArguments", purpose="the same YAML can be evaluated"),
    Hook(_PARSER, "get_train_args", ("args",), purpose="settings are parsed as a training's are"),
    Hook(_CONSTANTS, "TRAINING_STAGES", kind=dict, contains="Supervised Fine-Tuning", purpose="the stage has a name"),
    Hook(_CONSTANTS, "STAGES_USE_PAIR_DATA", kind=set, contains="dpo", purpose="the stage reads ranking data"),
    Hook(_TUNER, "get_train_args", ("args",), used_by="_training_function", purpose="the stage is presented as dpo"),
    Hook(_TUNER, "run_dpo", _RUN, used_by="_training_function", purpose="the stage's own workflow runs instead"),
    Hook(_TUNER, "get_ray_args", ("args",), used_by="run_exp", purpose="Ray, whose workers lose all this, is refused"),
    Hook("llamafactory.launcher", "__file__", kind=str, used_by="launch", purpose="torchrun starts the stage's worker"),
    Hook("llamafactory.launcher", "launch", purpose="train, webui, export, chat, api and webchat are its commands"),
    Hook("llamafactory.data", "get_dataset", ("template", "data_args", "stage"), purpose="pairs are tokenised"),
    Hook("llamafactory.data", "get_template_and_fix_tokenizer", ("tokenizer", "data_args")),
    Hook("llamafactory.data", "PairwiseDataCollatorWithPadding", purpose="teacher rows first, then student rows"),
    Hook("llamafactory.model", "load_model", ("tokenizer", "model_args", "finetuning_args", "is_trainable")),
    Hook("llamafactory.model", "load_tokenizer", ("model_args",)),
    Hook("llamafactory.hparams", "ModelArguments.copyfrom", ("source",), purpose="the teacher's arguments"),
    Hook("llamafactory.train.trainer_utils", "create_custom_optimizer", _RUN[2:4]),
    Hook("llamafactory.train.trainer_utils", "create_custom_scheduler", ("training_args", "num_training_steps")),
    Hook("llamafactory.train.trainer_utils", "create_modelcard_and_push", ("trainer", *_RUN[:4])),
    Hook("llamafactory.train.callbacks", "SaveProcessorCallback", ("processor",)),
    Hook("llamafactory.extras.ploting", "plot_loss", ("keys",), purpose="the stage's curves"),
    Hook(
        "transformers",
        "Trainer.__init__",
        ("model", "args", "data_collator", "train_dataset", "eval_dataset", "processing_class", "callbacks"),
    ),
    Hook(
        "transformers",
        "Trainer.training_step",
        ("model", "inputs"),
        contains="model_accepts_loss_kwargs",
        purpose="accumulated micro-batches are averaged",
    ),
    Hook("transformers", "Trainer.compute_loss", ("model", "inputs")),
    Hook("transformers", "Trainer.evaluation_loop", ("metric_key_prefix",), purpose="the stage's evaluation figures"),
    Hook("transformers", "Trainer.create_optimizer", purpose="LLaMA-Factory's optimizers"),
    Hook("transformers", "Trainer.create_scheduler", ("num_training_steps", "optimizer")),
    Hook("transformers", "Trainer._get_train_sampler", purpose="disable_shuffling"),
    Hook("transformers", "Trainer.prediction_step", ("model", "inputs", "prediction_loss_only")),
    Hook("transformers", "Trainer.log", ("logs",)),
    Hook("transformers", "Trainer._save_optimizer_and_scheduler", ("output_dir",), purpose="alpha's anchor is saved"),
    Hook("transformers", "Trainer._load_optimizer_and_scheduler", ("checkpoint",), purpose="and read on resuming"),
)
