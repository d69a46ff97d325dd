"""What to change when a training does not fit: from what costs nothing to what costs quality."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from distillm2.experiments.plan import make_plan
from distillm2.experiments.plan_activations import attention_kind
from distillm2.experiments.plan_find import find_shape
from distillm2.experiments.plan_settings import Settings

Edit = tuple[Mapping[str, Any], str]
LEAST_GAIN = 0.005  # of the total; smaller gains are not worth a line


@dataclass(frozen=True)
class Change:
    """An edit of the YAML as ``key=value``, what it costs, and the totals in bytes with it.

    ``alone`` is None for an edit that only an earlier one makes possible.
    """

    edit: str
    cost: str
    alone: int | None
    together: int


def advise(settings: Settings, gpus: int = 1) -> Iterator[Change]:
    """Changes that lower the total, the least costly first; ``together`` adds each to those before it."""
    start = make_plan(settings, gpus).total
    current, reached = settings, start
    for propose in PROPOSALS:
        edit = propose(current)
        if edit is None:
            continue
        values, cost = edit
        together = make_plan(replace(current, **values), gpus).total
        alone = make_plan(replace(settings, **values), gpus).total if propose(settings) else None
        gains = (reached - together, 0 if alone is None else start - alone)
        if min(gains) < 0 or max(gains) < LEAST_GAIN * start:
            continue
        current, reached = replace(current, **values), together
        yield Change(_words(values), cost, alone, together)


def _words(values: Mapping[str, Any]) -> str:
    """``key=value`` lines; None takes the key away."""
    shown = {True: "true", False: "false"}
    return "\n".join(
        f"without {key}" if value is None else f"{key}={shown.get(value, value) if isinstance(value, bool) else value}"
        for key, value in values.items()
    )


def _evaluation(now: Settings) -> Edit | None:
    if not now.evaluates or now.per_device_eval_batch_size == 1:
        return None
    return {"per_device_eval_batch_size": 1}, "slower evaluation"


def _liger(now: Settings) -> Edit | None:
    if now.enable_liger_kernel or now.stage not in ("sft", "pt"):
        return None
    return {"enable_liger_kernel": True}, "the package liger-kernel"


def _chunk(now: Settings) -> Edit | None:
    if now.stage != "distillm2" or now.distill_chunk_size <= 32:
        return None
    return {"distill_chunk_size": 32}, "a slightly slower loss"


def _checkpoints(now: Settings) -> Edit | None:
    return (
        ({"disable_gradient_checkpointing": False}, "about a third more time")
        if now.disable_gradient_checkpointing
        else None
    )


def _one_row(now: Settings) -> Edit | None:
    batch = now.per_device_train_batch_size
    if batch == 1:
        return None
    steps = batch * now.gradient_accumulation_steps
    return {"per_device_train_batch_size": 1, "gradient_accumulation_steps": steps}, "slower, the same gradients"


def _attention(now: Settings) -> Edit | None:
    shape, _ = find_shape(now.model_name_or_path, now.cache_dir)
    if attention_kind(shape, now) != "eager":
        return None
    return {"flash_attn": "fa2" if shape.attention_cap else "auto"}, (
        "the package flash-attn" if shape.attention_cap else "nothing"
    )


def _optimizer(now: Settings) -> Edit | None:
    if now.optim.startswith(("paged_", "adamw_8bit", "adamw_bnb", "adafactor", "sgd", "lion_8bit")):
        return None
    return {"optim": "paged_adamw_8bit"}, "optimizer states rounded to 8 bits"


def _teacher(now: Settings) -> Edit | None:
    if now.stage != "distillm2" or not now.teacher_model or now.teacher_cache or now.teacher_quantization_bit == 4:
        return None
    return {"teacher_quantization_bit": 4}, "a slightly blurred teacher"


def _offline(now: Settings) -> Edit | None:
    if now.stage != "distillm2" or now.teacher_cache or not now.teacher_model:
        return None
    return {"teacher_cache": "CACHE"}, "one pass of `distillm2 cache`, disk, and the teacher's rare tokens"


def _adapter(now: Settings) -> Edit | None:
    return ({"finetuning_type": "lora"}, "fewer weights learn") if now.finetuning_type == "full" else None


def _quantise(now: Settings) -> Edit | None:
    if now.finetuning_type != "lora" or now.quantization_bit == 4:
        return None
    return {"quantization_bit": 4}, "QLoRA: slower steps, a rounded student to be merged with care"


def _rank(now: Settings) -> Edit | None:
    return ({"lora_rank": 8}, "less to learn with") if now.finetuning_type == "lora" and now.lora_rank > 8 else None


def _cutoff(now: Settings) -> Edit | None:
    if now.cutoff_len <= 512:
        return None
    return {"cutoff_len": max(512, now.cutoff_len // 2)}, "longer rows are cut or left out"


PROPOSALS: tuple[Callable[[Settings], Edit | None], ...] = (
    _evaluation,
    _liger,
    _attention,
    _chunk,
    _one_row,
    _checkpoints,
    _optimizer,
    _teacher,
    _offline,
    _adapter,
    _quantise,
    _rank,
    _cutoff,
)
