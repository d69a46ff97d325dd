"""What the stage refuses, because it would be lost without a word or would compute something else."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from distillm2.errors import DistillationError

_LOSING_ENVIRONMENT = {
    "USE_MCA": "Megatron training replaces the parser and the trainer",
}


def read_stage(args: Mapping[str, Any] | Sequence[str] | None) -> str:
    """The stage that settings (a mapping) or flags (a list) ask for, before they are parsed."""
    if isinstance(args, Mapping):
        return str(args.get("stage", "sft"))
    flags = list(args or ())
    for position, flag in enumerate(flags):
        if flag == "--stage" and position + 1 < len(flags):
            return flags[position + 1]
        if flag.startswith("--stage="):
            return flag.removeprefix("--stage=")
    return "sft"


def refuse_environment(args: Mapping[str, Any] | Sequence[str] | None) -> None:
    """Refuse environment variables under which the stage would not run."""
    from distillm2.stage.arguments import STAGE

    if read_stage(args) != STAGE:
        return
    for name, why in _LOSING_ENVIRONMENT.items():
        if os.environ.get(name, "0").lower() in ("true", "y", "1"):
            raise DistillationError(f"{name} is set, and stage distillm2 cannot run under it: {why}. Unset {name}.")


def refuse_ray(args: Mapping[str, Any] | Sequence[str] | None, ray_args: Any) -> None:
    """Refuse Ray: its workers import LLaMA-Factory anew, without the stage."""
    from distillm2.stage.arguments import STAGE

    if ray_args.use_ray and read_stage(args) == STAGE:
        raise DistillationError(
            "use_ray is set: Ray's workers do not know stage distillm2. Unset use_ray (and USE_RAY); several GPUs of "
            "one machine work through torchrun with FORCE_TORCHRUN=1."
        )


def refuse_settings(model_args: Any, data_args: Any, training_args: Any, finetuning_args: Any) -> None:
    """Refuse settings of LLaMA-Factory that the stage does not carry out.

    :raises DistillationError: naming the setting, the reason and what to do
    """
    for holds, setting, why in (
        (model_args.use_unsloth, "use_unsloth", "its patched models hide the hidden states the loss is computed from"),
        (getattr(model_args, "use_kt", False), "use_kt", "KTransformers has its own training loop"),
        (model_args.mixture_of_depths, "mixture_of_depths", "such a model has not been tried"),
        (model_args.moe_aux_loss_coef, "moe_aux_loss_coef", "the router's loss would not enter the distillation loss"),
        (finetuning_args.use_badam, "use_badam", "it needs a training loop of its own"),
        (getattr(finetuning_args, "use_hyper_parallel", False), "use_hyper_parallel", "it runs stage sft only"),
        (training_args.torch_compile, "torch_compile", "hidden states are taken from within the model"),
        (data_args.streaming, "streaming", "over-long pairs are dropped and counted before training starts"),
    ):
        if holds:
            raise DistillationError(f"{setting} is set, and stage distillm2 does not support it: {why}. Remove it.")
    if finetuning_args.distill_total_epochs and training_args.max_steps > 0:
        raise DistillationError(
            f"distill_total_epochs is {finetuning_args.distill_total_epochs} and max_steps {training_args.max_steps}: "
            "the position in the whole distillation is counted in epochs. Set num_train_epochs instead of max_steps."
        )
    _refuse_sharded(training_args)


def _refuse_sharded(training_args: Any) -> None:
    """The loss applies the output head outside the model's forward pass, where its weights must be whole."""
    from transformers.integrations import is_deepspeed_zero3_enabled
    from transformers.integrations.fsdp import is_fsdp_enabled

    advice = "use DeepSpeed ZeRO-2 (`deepspeed: ds_zero2.json`), which keeps weights whole and splits the rest"
    if is_deepspeed_zero3_enabled():
        raise DistillationError(f"DeepSpeed ZeRO-3 splits the weights that the loss reads directly: {advice}.")
    if training_args.fsdp or is_fsdp_enabled():
        raise DistillationError(f"FSDP splits the weights that the loss reads directly: {advice}.")
