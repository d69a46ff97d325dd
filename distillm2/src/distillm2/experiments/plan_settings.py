"""The settings of a training that decide its memory, read from a YAML as LLaMA-Factory reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillm2.errors import DistillationError
from distillm2.experiments.argument_names import check_arguments, choices
from distillm2.experiments.plan_find import read_json

PAIRWISE = ("dpo", "distillm2")
STAGES = ("sft", "pt", *PAIRWISE)
ATTENTION = ("auto", "disabled", "sdpa", "fa2")
OTHER_USES = ("export_dir", "do_predict")
SHARDING = ("fsdp", "fsdp_config")
OTHER_METHODS = ("use_galore", "use_apollo", "use_badam", "use_adam_mini", "use_muon", "use_unsloth", "use_llama_pro")


@dataclass(frozen=True)
class Zero:
    """DeepSpeed's ZeRO-2 in bf16; ``bucket`` in numbers, None where DeepSpeed's integration sets it."""

    bucket: int | None
    overlap: bool


@dataclass(frozen=True)
class Settings:
    """Fields are named as in LLaMA-Factory's YAML, with its defaults; ``rows`` counts a pair as two."""

    model_name_or_path: str
    stage: str = "sft"
    finetuning_type: str = "lora"
    per_device_train_batch_size: int = 8
    gradient_accumulation_steps: int = 1
    per_device_eval_batch_size: int = 8
    evaluates: bool = False
    cutoff_len: int = 2048
    bf16: bool = False
    fp16: bool = False
    pure_bf16: bool = False
    flash_attn: str = "auto"
    disable_gradient_checkpointing: bool = False
    use_unsloth_gc: bool = False
    enable_liger_kernel: bool = False
    optim: str = "adamw_torch_fused"
    quantization_bit: int | None = None
    double_quantization: bool = True
    lora_rank: int = 8
    lora_target: str = "all"
    lora_dropout: float = 0.0
    use_dora: bool = False
    additional_target: str | None = None
    pref_loss: str = "sigmoid"
    ref_model: str | None = None
    ref_model_quantization_bit: int | None = None
    zero: Zero | None = None
    cache_dir: str | None = None
    teacher_model: str | None = None
    teacher_adapter: str | None = None
    teacher_quantization_bit: int | None = None
    teacher_cache: str | None = None
    distill_chunk_size: int = 128
    distill_loss: str = "distillm2"

    @property
    def rows(self) -> int:
        """Sequences in one forward pass."""
        return self.per_device_train_batch_size * (2 if self.stage in PAIRWISE else 1)

    @property
    def tokens(self) -> int:
        """Positions in one forward pass, all rows at ``cutoff_len``."""
        return self.rows * self.cutoff_len

    @property
    def autocast(self) -> bool:
        """Whether the trainer computes in half precision beside wider weights."""
        return self.bf16 or self.fp16


def settings_from(values: Mapping[str, Any], name: str) -> Settings:
    """Settings from the keys of a training's YAML; ``name`` is for messages.

    Raises DistillationError for a file that trains nothing, keys that no training takes, values out of range and
    methods whose memory is not known here.
    """
    read = _Reader(values, name)
    check_arguments(values, name)
    for use in OTHER_USES:
        if values.get(use):
            raise DistillationError(f"{name} sets {use}; a plan is made for a training")
    if not read.flag("do_train"):
        raise DistillationError(f"{name} trains nothing; a plan is made for a training: set do_train: true")
    if not values.get("model_name_or_path"):
        raise DistillationError(f"{name} names no model_name_or_path")
    for method in (*OTHER_METHODS, *SHARDING):
        if values.get(method):
            raise DistillationError(f"{name}: the memory of {method} is not known here; plan without it")
    if values.get("quantization_method", "bnb") not in ("bnb", "bitsandbytes"):
        raise DistillationError(
            f"{name}: quantization_method {values['quantization_method']!r} is not known here; bnb is"
        )
    zero = _zero(values.get("deepspeed"), name)
    evaluates = str(values.get("eval_strategy") or "no") != "no" or bool(values.get("do_eval"))
    return Settings(
        model_name_or_path=str(values["model_name_or_path"]),
        stage=read.choice("stage", "sft", STAGES),
        finetuning_type=read.choice("finetuning_type", "lora", ("lora", "full")),
        per_device_train_batch_size=read.count("per_device_train_batch_size", 8),
        gradient_accumulation_steps=read.count("gradient_accumulation_steps", 1),
        per_device_eval_batch_size=read.count("per_device_eval_batch_size", 8),
        evaluates=evaluates,
        cutoff_len=read.count("cutoff_len", 2048),
        bf16=read.flag("bf16"),
        fp16=read.flag("fp16"),
        pure_bf16=read.flag("pure_bf16") or zero is not None,
        flash_attn=read.choice("flash_attn", "auto", ATTENTION),
        disable_gradient_checkpointing=read.flag("disable_gradient_checkpointing"),
        use_unsloth_gc=read.flag("use_unsloth_gc"),
        enable_liger_kernel=read.flag("enable_liger_kernel"),
        optim=str(values.get("optim") or "adamw_torch_fused"),
        quantization_bit=read.bits("quantization_bit"),
        double_quantization=read.flag("double_quantization", True),
        lora_rank=read.count("lora_rank", 8),
        lora_target=str(values.get("lora_target") or "all"),
        lora_dropout=read.share("lora_dropout"),
        use_dora=read.flag("use_dora"),
        additional_target=read.text("additional_target"),
        pref_loss=str(values.get("pref_loss") or "sigmoid"),
        ref_model=read.text("ref_model"),
        ref_model_quantization_bit=read.bits("ref_model_quantization_bit"),
        zero=zero,
        cache_dir=read.text("cache_dir"),
        teacher_model=read.text("teacher_model"),
        teacher_adapter=read.text("teacher_adapter"),
        teacher_quantization_bit=read.bits("teacher_quantization_bit"),
        teacher_cache=read.text("teacher_cache"),
        distill_chunk_size=read.count("distill_chunk_size", 128),
        distill_loss=read.choice("distill_loss", "distillm2", choices("distill_loss")),
    )


def _zero(file: Any, name: str) -> Zero | None:
    """The ZeRO settings of the DeepSpeed file that a YAML names."""
    if not file:
        return None
    if not Path(str(file)).is_file():
        raise DistillationError(f"{name}: deepspeed names {file}, which is no file here")
    config = read_json(Path(str(file)))
    zero = config.get("zero_optimization")
    stage = zero.get("stage", 0) if isinstance(zero, dict) else 0
    if stage != 2 or not isinstance(zero, dict) or "offload_optimizer" in zero:
        raise DistillationError(f"{file}: only ZeRO stage 2 without offloading can be planned, not stage {stage!r}")
    bucket = zero.get("reduce_bucket_size", 500_000_000)
    return Zero(int(bucket) if isinstance(bucket, int | float) else None, bool(zero.get("overlap_comm")))


@dataclass(frozen=True)
class _Reader:
    values: Mapping[str, Any]
    name: str

    def choice(self, key: str, default: str, allowed: Sequence[str]) -> str:
        value = self.values.get(key) or default
        if value not in allowed:
            raise DistillationError(f"{self.name}: {key} {value!r} cannot be planned; allowed: {', '.join(allowed)}")
        return str(value)

    def count(self, key: str, default: int) -> int:
        value = self.values.get(key)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise DistillationError(f"{self.name}: {key} is {value!r}; a whole number of at least 1 is needed")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.values.get(key)
        value = default if value is None else value
        if not isinstance(value, bool):
            raise DistillationError(f"{self.name}: {key} is {value!r}; true or false is needed")
        return value

    def bits(self, key: str) -> int | None:
        value = self.values.get(key)
        if value not in (None, 4, 8):
            raise DistillationError(f"{self.name}: {key} is {value!r}; 4, 8 or none is needed")
        return value

    def share(self, key: str) -> float:
        value = self.values.get(key) or 0.0
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise DistillationError(f"{self.name}: {key} is {value!r}; a number from 0 to below 1 is needed")
        return float(value)

    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        return None if value in (None, "") else str(value)
