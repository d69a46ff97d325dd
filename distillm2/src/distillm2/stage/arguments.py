"""What the stage adds to LLaMA-Factory's fine-tuning arguments; LlamaBoard, sweeps and the plan read these fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Optional  # HfArgumentParser of older releases reads Optional[...] only

from llamafactory.hparams.finetuning_args import FinetuningArguments

STAGE = "distillm2"


@dataclass
class DistillationArguments(FinetuningArguments):
    """LLaMA-Factory's fine-tuning arguments with those of the stage ``distillm2``."""

    stage: Literal["pt", "sft", "rm", "ppo", "dpo", "kto", "distillm2"] = field(
        default="sft", metadata={"help": "Which stage will be performed in training."}
    )
    teacher_model: Optional[str] = field(
        default=None,
        metadata={"help": "Path or hub name of the teacher; omit it to train from teacher_cache."},
    )
    teacher_adapter: Optional[str] = field(
        default=None,
        metadata={
            "help": "LoRA adapter of the teacher. Without teacher_model it is put on the student's own base model."
        },
    )
    teacher_quantization_bit: Optional[int] = field(
        default=None, metadata={"help": "Load the teacher in 8 or 4 bits (bitsandbytes)."}
    )
    teacher_cache: Optional[str] = field(
        default=None,
        metadata={"help": "Folder written by `distillm2 cache`: the teacher's log-probabilities, instead of a teacher."},
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
        metadata={"help": "adaptive: alpha follows the gap between the models from the second epoch on (paper)."},
    )
    distill_alpha_min: float = field(default=0.01, metadata={"help": "Lower bound of the adaptive alpha."})
    distill_beta_schedule: Literal["fixed", "paper", "reference"] = field(
        default="paper",
        metadata={
            "help": "Weights of teacher and student responses. fixed: 1 and 1; paper: 1-b and b, b growing by epoch from "
            "0.5 to 1; reference: 2-b and b, b growing from 1 to 1.5."
        },
    )
    distill_chunk_size: int = field(
        default=128, metadata={"help": "Response tokens whose logits are in memory at a time."}
    )
