"""A causal language model in two parts: final hidden states, and the head that maps them to logits.

The loss is computed from hidden states, so that [batch, length, vocabulary] logits never exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from distillm2.errors import DistillationError

# Names under which models' settings keep what is done to logits after the head.
_MULTIPLIERS = ("logit_scale", "lm_head_multiplier")  # Cohere; Falcon-H1
_DIVISORS = ("logits_scaling",)  # Granite
_SOFT_CAPS = ("final_logit_softcapping", "logits_soft_cap")  # Gemma-2 and -3; RecurrentGemma


@dataclass(frozen=True, eq=False)
class OutputHead:
    """Logits [..., V] of final hidden states [..., H]: the head with its adapters, times ``scale``, softly capped."""

    module: nn.Module
    scale: float = 1.0
    soft_cap: float | None = None

    def __call__(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.module(hidden)
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.soft_cap is not None:
            logits = torch.tanh(logits / self.soft_cap) * self.soft_cap
        return logits

    def trainable(self) -> tuple[nn.Parameter, ...]:
        """The parameters of the head that training changes; tied embeddings are among them."""
        return tuple(parameter for parameter in self.module.parameters() if parameter.requires_grad)


def find_head(model: nn.Module) -> OutputHead:
    """The output head of a model, which may be wrapped by PEFT and for several processes.

    :raises DistillationError: for a model without one
    """
    from accelerate.utils import extract_model_from_parallel

    bare: Any = extract_model_from_parallel(model)
    module = bare.get_output_embeddings()
    if module is None:
        raise DistillationError(
            f"{_name(model)} has no output head (get_output_embeddings() is None): distillation needs a causal "
            "language model."
        )
    config = bare.config.get_text_config()
    scale = 1.0
    for name in _MULTIPLIERS:
        scale *= getattr(config, name, None) or 1.0
    for name in _DIVISORS:
        scale /= getattr(config, name, None) or 1.0
    caps = [cap for name in _SOFT_CAPS if (cap := getattr(config, name, None))]
    return OutputHead(module, float(scale), float(caps[0]) if caps else None)


def hidden_and_head(model: nn.Module, inputs: Mapping[str, Tensor]) -> tuple[Tensor, OutputHead]:
    """Final hidden states [B, T, H] of one forward pass, with gradients where grad mode is on, and the head.

    ``inputs`` are the model's arguments without labels. The pass goes through ``model`` as it is given, so that the
    hooks of distributed wrappers run.
    """
    head = find_head(model)
    with _captured_input(head) as captured:
        model(**inputs, use_cache=False)
    if len(captured) != 1:
        raise DistillationError(
            f"{_name(model)} applies its output head {len(captured)} times in a forward pass; once is expected."
        )
    return captured[0], head


def check_head(model: nn.Module, precision: Callable[[], AbstractContextManager[Any]]) -> int:
    """Compare head(hidden states) with the model's own logits on eight tokens; return the vocabulary's size.

    ``precision`` opens the context that training runs in (mixed precision).

    :raises DistillationError: naming the model, where the two differ
    """
    device = next(model.parameters()).device
    tokens = torch.arange(1, 9, device=device).unsqueeze(0)
    inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), precision():
            expected = model(**inputs, use_cache=False).logits
            hidden, head = hidden_and_head(model, inputs)
            actual = head(hidden)
    except DistillationError:
        raise
    except Exception as error:
        raise DistillationError(
            f"{_name(model)} fails on eight tokens when its output head is set apart: {type(error).__name__}: {error}. "
            "If it is quantised, this machine may lack the kernels; otherwise choose a model whose class is one of "
            "the Llama, Qwen, Gemma, Granite, Cohere or Mistral families."
        ) from error
    finally:
        model.train(was_training)
    low_precision = torch.float32 not in (hidden.dtype, actual.dtype) or expected.dtype != actual.dtype
    tolerance = (2e-2 if low_precision else 1e-4) * max(1.0, float(expected.abs().max()))
    shapes_agree = expected.shape == actual.shape
    difference = float((expected.float() - actual.float()).abs().max()) if shapes_agree else float("nan")
    if not difference <= tolerance:
        raise DistillationError(
            f"{_name(model)} does something to its logits that distillm2 does not know: its own logits of shape "
            f"{tuple(expected.shape)} and those from its hidden states, {tuple(actual.shape)}, differ by "
            f"{difference:.3g}. It cannot be distilled with stage distillm2."
        )
    return int(actual.shape[-1])


@contextmanager
def _captured_input(head: OutputHead) -> Iterator[list[Tensor]]:
    """While open, the head stores what enters it and returns a tensor of one column instead of logits."""
    module = head.module
    captured: list[Tensor] = []

    def capture(hidden: Tensor, *_: Any, **__: Any) -> Tensor:
        captured.append(hidden)
        # DistributedDataParallel may look for unused parameters in the graph of the output: keep the head's in it.
        link = [parameter.flatten()[:1].sum() * 0 for parameter in head.trainable()] if hidden.requires_grad else []
        return sum(link, start=hidden[..., :1])

    replaced = module.__dict__.get("forward")
    module.forward = capture
    try:
        yield captured
    finally:
        if replaced is None:
            del module.forward
        else:
            module.forward = replaced


def _name(model: nn.Module) -> str:
    """The class of the model under its wrappers."""
    from accelerate.utils import extract_model_from_parallel

    bare: Any = extract_model_from_parallel(model)
    if hasattr(bare, "get_base_model"):
        bare = bare.get_base_model()
    return type(bare).__name__
