"""What the stage adds to LLaMA-Factory's fine-tuning arguments; LlamaBoard, sweeps and the plan read these fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args, get_type_hints

from llamafactory.hparams.finetuning_args import FinetuningArguments

from distillm2.errors import DistillationError

STAGE = "distillm2"


@dataclass
class DistillationArguments(FinetuningArguments):
    """LLaMA-Factory's fine-tuning arguments with those of the stage ``distillm2``."""

    stage: Literal["pt", "sft", "rm", "ppo", "dpo", "kto", "distillm2"] = field(
        default="sft", metadata={"help": "Which stage will be performed in training."}
    )
    teacher_model: str | None = field(
        default=None,
        metadata={"help": "Path or hub name of the teacher; omit it to train from teacher_cache."},
    )
    teacher_adapter: str | None = field(
        default=None,
        metadata={
            "help": "LoRA adapter of the teacher. Without teacher_model it is put on the student's own base model."
        },
    )
    teacher_quantization_bit: int | None = field(
        default=None, metadata={"help": "Load the teacher in 8 or 4 bits (bitsandbytes)."}
    )
    teacher_cache: str | None = field(
        default=None,
        metadata={
            "help": "Folder written by `distillm2 cache`: the teacher's log-probabilities, instead of a teacher."
        },
    )
    distill_loss: Literal["distillm2", "distillm", "kl", "rkl", "js"] = field(
        default="distillm2",
        metadata={
            "help": "distillm2: SKL on teacher and SRKL on student responses; distillm: SRKL on both (v1); "
            "kl, rkl, js: plain divergences on both, for comparison."
        },
    )
    distill_sft_weight: float = field(
        default=0.0,
        metadata={"help": "Share of cross-entropy on teacher responses in the loss, 0 to 1; 1 is plain fine-tuning."},
    )
    distill_temperature: float = field(
        default=1.0, metadata={"help": "Both models' logits are divided by it before the divergence."}
    )
    distill_alpha: float = field(
        default=0.1, metadata={"help": "Skew of SKL and SRKL (share of the other model in the mixture), in (0, 1)."}
    )
    distill_alpha_schedule: Literal["fixed", "adaptive"] = field(
        default="adaptive",
        metadata={
            "help": "adaptive: alpha follows the gap between the models from the second epoch on (paper); the losses "
            "kl, rkl and js keep it fixed."
        },
    )
    distill_alpha_min: float = field(default=0.01, metadata={"help": "Lower bound of the adaptive alpha."})
    distill_beta_schedule: Literal["fixed", "paper", "reference"] = field(
        default="paper",
        metadata={
            "help": "Weights of teacher and student responses. fixed: 1 and 1; paper: 1-b and b, b growing from 0.5 to "
            "1 in the second half of the training; reference: 2-b and b, b growing from 1 to 1.5."
        },
    )
    distill_chunk_size: int = field(
        default=128, metadata={"help": "Response tokens whose logits are in memory at a time."}
    )
    distill_first_epoch: int = field(
        default=0,
        metadata={
            "help": "Epochs of the same distillation done by earlier runs, whose adapter or model this run starts from "
            "(`distillm2 loop` sets it)."
        },
    )
    distill_total_epochs: int = field(
        default=0,
        metadata={"help": "Epochs of the whole distillation when it is cut into several runs; 0: this run is all."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stage == STAGE:
            self._check_teacher()
            self._check_values()

    def _check_teacher(self) -> None:
        """A teacher must be named, and quantisation needs a teacher of its own to apply to."""
        if not (self.teacher_model or self.teacher_adapter or self.teacher_cache):
            raise DistillationError(
                "Stage distillm2 needs a teacher: set `teacher_model` (path or hub name), or `teacher_adapter` (a LoRA "
                "of the student's own base), or `teacher_cache` (a folder written by `distillm2 cache`)."
            )
        if self.teacher_quantization_bit not in (None, 4, 8):
            raise DistillationError(
                f"teacher_quantization_bit is {self.teacher_quantization_bit!r}; allowed are 4, 8, or nothing."
            )
        if self.teacher_quantization_bit and not self.teacher_model:
            raise DistillationError(
                "teacher_quantization_bit applies to `teacher_model`, which is not set. A `teacher_adapter` alone "
                "shares the student's base model: quantise that with `quantization_bit`."
            )

    def _check_values(self) -> None:
        """Every number in its range and every name among those known."""
        for name, allowed in (
            ("distill_loss", LOSSES),
            ("distill_alpha_schedule", ALPHA_SCHEDULES),
            ("distill_beta_schedule", BETA_SCHEDULES),
        ):
            if getattr(self, name) not in allowed:
                raise DistillationError(f"{name} is {getattr(self, name)!r}; allowed are {', '.join(allowed)}.")
        for name, holds, allowed_range in (
            ("distill_sft_weight", 0.0 <= self.distill_sft_weight <= 1.0, "0 to 1"),
            ("distill_temperature", self.distill_temperature > 0.0, "numbers above 0"),
            ("distill_alpha", 0.0 < self.distill_alpha < 1.0, "numbers between 0 and 1, without either end"),
            (
                "distill_alpha_min",
                self.distill_alpha_schedule == "fixed" or 0.0 < self.distill_alpha_min <= self.distill_alpha,
                f"numbers above 0 and up to distill_alpha, {self.distill_alpha}",
            ),
            ("distill_chunk_size", self.distill_chunk_size >= 1, "whole numbers from 1; 128 suits most GPUs"),
            ("distill_first_epoch", self.distill_first_epoch >= 0, "whole numbers from 0"),
            (
                "distill_total_epochs",
                self.distill_total_epochs == 0 or self.distill_total_epochs > self.distill_first_epoch,
                f"0, or a whole number above distill_first_epoch, {self.distill_first_epoch}",
            ),
        ):
            if not holds:
                raise DistillationError(f"{name} is {getattr(self, name)!r}; allowed are {allowed_range}.")
        if self.distill_first_epoch and not self.distill_total_epochs:
            raise DistillationError(
                f"distill_first_epoch is {self.distill_first_epoch}, and distill_total_epochs is not set: "
                "set it to the number of epochs of the whole distillation."
            )


_HINTS = get_type_hints(DistillationArguments)
LOSSES = get_args(_HINTS["distill_loss"])
ALPHA_SCHEDULES = get_args(_HINTS["distill_alpha_schedule"])
BETA_SCHEDULES = get_args(_HINTS["distill_beta_schedule"])
