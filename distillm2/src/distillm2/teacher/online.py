"""A teacher in memory: a model of its own, or a LoRA on the student's base model."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from distillm2.errors import DistillationError
from distillm2.heads import check_head, hidden_and_head
from distillm2.loss.targets import HeadTarget
from distillm2.teacher.tokenizers import check_same_tokenizer


class OnlineTeacher:
    """A frozen model in evaluation mode whose hidden states are computed for every batch."""

    def __init__(self, model: nn.Module, description: str) -> None:
        self.model = model.requires_grad_(False).eval()
        self._description = description
        self._accelerator: Any = None
        self._vocabulary = 0

    @classmethod
    def load(cls, model_args: Any, data_args: Any, finetuning_args: Any, tokenizer: Any) -> OnlineTeacher:
        """Load the teacher that the settings name, quantised if they say so, apart from any student.

        ``tokenizer`` is the student's, after its template was applied.

        :raises DistillationError: for a teacher whose tokenizer differs, or that this machine cannot load
        """
        from llamafactory.data import get_template_and_fix_tokenizer
        from llamafactory.hparams import FinetuningArguments, ModelArguments
        from llamafactory.model import load_model, load_tokenizer

        path = finetuning_args.teacher_model or model_args.model_name_or_path
        bits = finetuning_args.teacher_quantization_bit
        changes: dict[str, Any] = {} if finetuning_args.teacher_model is None else _CHANGES | {"quantization_bit": bits}
        teacher_args = ModelArguments.copyfrom(
            model_args,
            **_OWN_TOKENS,
            **changes,
            model_name_or_path=path,
            adapter_name_or_path=finetuning_args.teacher_adapter,
        )
        try:
            teacher_tokenizer = load_tokenizer(teacher_args)["tokenizer"]
            get_template_and_fix_tokenizer(teacher_tokenizer, data_args)
            check_same_tokenizer(tokenizer, teacher_tokenizer, path)
            model = load_model(teacher_tokenizer, teacher_args, FinetuningArguments(), is_trainable=False)
        except DistillationError:
            raise
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            how = f" in {bits} bits" if bits else ""
            fault = error.__cause__ or error  # LLaMA-Factory's own says no more than that it failed
            raise DistillationError(
                f"The teacher {path} could not be loaded{how}: {type(fault).__name__}: {fault}. Check teacher_model, "
                "teacher_adapter and teacher_quantization_bit; `distillm2 cache` on a machine that can load it "
                "lets this one train from teacher_cache."
            ) from error
        parts = [path, f"{bits} bits" if bits else "", _adapter_note(finetuning_args)]
        return cls(model, "teacher " + ", ".join(part for part in parts if part))

    @classmethod
    def on_student(cls, student: Any, finetuning_args: Any) -> OnlineTeacher:
        """The teacher's LoRA on the base model of a ``student`` that trains a LoRA itself.

        The teacher is a model of its own around the very same frozen layers, so that the base model is in memory once
        and no adapter is switched. Whole layers are shared, since quantised ones keep state beside their weights.

        :raises DistillationError: for an adapter that is not there or does not fit the base model
        """
        from peft import PeftConfig, PeftModel

        try:
            config = PeftConfig.from_pretrained(finetuning_args.teacher_adapter)
        except (OSError, ValueError) as error:
            raise DistillationError(
                f"teacher_adapter {finetuning_args.teacher_adapter} has no adapter_config.json that can be read: "
                f"{error}. Set it to a LoRA's folder or hub name."
            ) from error

        frozen = [*filter(_is_frozen_layer, student.modules()), *filter(_is_frozen, student.parameters())]
        base = copy.deepcopy(student, memo={id(part): part for part in frozen}).unload()
        vars(base).pop("peft_config", None)  # the copied adapter is gone
        try:
            model = PeftModel.from_pretrained(base, finetuning_args.teacher_adapter, config=config)
        except (OSError, RuntimeError, ValueError) as error:
            raise DistillationError(
                f"teacher_adapter {finetuning_args.teacher_adapter} does not fit the student's base model: {error}. "
                "Name the base model that it was trained on as teacher_model."
            ) from error
        return cls(model, f"teacher on the student's own base model{_adapter_note(finetuning_args)}")

    @property
    def vocabulary(self) -> int:
        """Rows of its output head; known once it is prepared."""
        return self._vocabulary

    def prepare(self, accelerator: Any) -> None:
        """Move it to the device, unless it is quantised and there already, and check its head."""
        self._accelerator = accelerator
        if getattr(self.model, "quantization_method", None) is None:
            self.model.to(accelerator.device)
        try:
            self._vocabulary = check_head(self.model, accelerator.autocast)
        except DistillationError as error:
            raise DistillationError(
                f"The {self._description} cannot be used on {accelerator.device}: {error}"
            ) from error

    @torch.no_grad()
    def targets(self, inputs: Mapping[str, Tensor], rows: Tensor, columns: Tensor) -> HeadTarget:
        """Its hidden states [n, H] at the positions, and its head."""
        with self._accelerator.autocast():
            hidden, head = hidden_and_head(self.model, inputs)
        return HeadTarget(hidden[rows, columns], head)

    def describe(self) -> str:
        """One line for the log."""
        return self._description


# The student's own tokens, length and revision are none of the teacher's.
_OWN_TOKENS: dict[str, Any] = {
    "resize_vocab": False,
    "add_tokens": None,
    "add_special_tokens": None,
    "new_special_tokens_config": None,
}
_CHANGES: dict[str, Any] = {"model_revision": "main", "rope_scaling": None, "shift_attn": False}


def can_share_base(student: Any, model_args: Any, finetuning_args: Any) -> bool:
    """Whether the student is a LoRA that leaves its base model's weights as they were published."""
    from peft import PeftModel

    merges_adapters = model_args.adapter_name_or_path is not None and (
        finetuning_args.create_new_adapter or len(model_args.adapter_name_or_path) > 1
    )
    return (
        isinstance(student, PeftModel)
        and finetuning_args.finetuning_type == "lora"
        and not finetuning_args.pissa_init
        and not finetuning_args.additional_target
        and not model_args.resize_vocab
        and not merges_adapters
    )


def _is_frozen(parameter: nn.Parameter) -> bool:
    return not parameter.requires_grad


def _is_frozen_layer(module: nn.Module) -> bool:
    """A layer without parts that has weights, none of which is trained: it computes the same in either mode.

    Embeddings share their weights alone: noise may be added to the student's in training (NEFTune).
    """
    weights = list(module.parameters())
    is_leaf = bool(weights) and not list(module.children()) and not isinstance(module, nn.Embedding)
    return is_leaf and all(map(_is_frozen, weights))


def _adapter_note(finetuning_args: Any) -> str:
    return f" with {finetuning_args.teacher_adapter}" if finetuning_args.teacher_adapter else ""
