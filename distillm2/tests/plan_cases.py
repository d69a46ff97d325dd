"""A distillation to plan, and its plan with some settings changed."""

from __future__ import annotations

from typing import Any

from distillm2.experiments.plan import Plan, make_plan
from distillm2.experiments.plan_settings import settings_from

DISTILL: dict[str, Any] = {
    "model_name_or_path": "Qwen/Qwen3-1.7B",
    "teacher_model": "Qwen/Qwen3-8B",
    "teacher_quantization_bit": 4,
    "stage": "distillm2",
    "do_train": True,
    "finetuning_type": "lora",
    "lora_rank": 16,
    "bf16": True,
    "cutoff_len": 2048,
    "per_device_train_batch_size": 1,
}


def planned(**changes: Any) -> Plan:
    return make_plan(settings_from(DISTILL | changes, "x"))
