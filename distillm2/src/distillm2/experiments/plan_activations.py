"""Bytes that a forward pass keeps for the backward pass, and what both need for a moment; per token of one block.

Counted from transformers' blocks: what each operation saves for its gradient. LoRA in fp32 beside a model in half
precision makes a half-precision copy of every adapted layer's input; a norm keeps its input in fp32.
"""

from __future__ import annotations

from dataclasses import dataclass

from distillm2.experiments.plan_settings import Settings
from distillm2.experiments.plan_shape import Shape
from distillm2.experiments.plan_weights import stored_bits, width


@dataclass(frozen=True)
class Precision:
    """Bytes per number: of activations inside a block, of the residual stream between blocks."""

    compute: int
    residual: int


@dataclass(frozen=True)
class Activations:
    """All in bytes: kept by one block, kept between two blocks, kept after the last, needed for a moment."""

    block: int
    checkpoint: int
    last: int
    backward: int
    forward: int


def precision(shape: Shape, settings: Settings) -> Precision:
    """Widths under LLaMA-Factory: the residual stream has the type of the weights, full fine-tuning's are fp32."""
    weight = 4 if settings.finetuning_type == "full" and not settings.pure_bf16 else width(shape)
    return Precision(2 if settings.autocast else weight, weight)


def attention_kind(shape: Shape, settings: Settings) -> str:
    """``flash_attn`` as LLaMA-Factory resolves it: Gemma-2 without FlashAttention-2 is computed eagerly."""
    if settings.flash_attn == "disabled" or (settings.flash_attn == "auto" and shape.model_type == "gemma2"):
        return "eager"
    return "fa2" if settings.flash_attn == "fa2" else "sdpa"


def trained_activations(shape: Shape, settings: Settings) -> Activations:
    """Of the model that is trained; all rows at the cutoff length."""
    use = precision(shape, settings)
    tokens, c = settings.tokens, use.compute
    mlp = shape.norms // 2 * 4 * shape.hidden + 3 * c * shape.intermediate
    attention = shape.norms // 2 * 4 * shape.hidden + _attention(shape, settings, c)
    inputs_attention, inputs_mlp = _inputs(shape, settings, use)
    mlp, attention = mlp + inputs_mlp, attention + inputs_attention
    scores = _scores(shape, settings)
    # The products of the feed-forward part, or the gradient of the scores once that part is done with.
    transient = max(
        3 * c * shape.intermediate + 6 * c * shape.hidden,
        (4 + c) * scores - mlp,
    )
    return Activations(
        block=tokens * (mlp + attention),
        checkpoint=tokens * use.residual * shape.hidden,
        last=tokens * (4 + use.residual) * shape.hidden,
        backward=max(tokens * transient, _merged(shape, settings)),
        forward=forward_only(shape, settings, c) + _merged(shape, settings),
    )


def _merged(shape: Shape, settings: Settings) -> int:
    """DoRA's weights with their adapter merged, whose norms it takes: identity matrix, product and sum of one layer."""
    if not settings.use_dora:
        return 0
    linears = shape.targets(settings.lora_target)
    return max(6 * linear.inputs**2 + 12 * linear.weights for linear in linears)


def forward_only(shape: Shape, settings: Settings, compute: int) -> int:
    """The most that one block needs at a time without gradients."""
    scores = _scores(shape, settings)
    feed_forward = 3 * compute * shape.intermediate + 9 * shape.hidden
    eager = (compute + 8) * scores + 13 * shape.hidden if scores else 0
    return settings.tokens * max(feed_forward, eager)


def _scores(shape: Shape, settings: Settings) -> int:
    """Attention scores per token where they are written out."""
    return shape.heads * settings.cutoff_len if attention_kind(shape, settings) == "eager" else 0


def _attention(shape: Shape, settings: Settings, c: int) -> int:
    norms = 4 * (shape.query + shape.key) if shape.query_norm else 0
    if settings.finetuning_type == "full" and shape.query_norm:
        norms += c * (shape.query + shape.key)
    kind = attention_kind(shape, settings)
    if kind == "fa2":
        return norms + c * (2 * shape.query + 2 * shape.key) + 4 * shape.heads
    repeated = 2 * c * shape.query
    if kind == "sdpa":
        return norms + 2 * c * shape.query + repeated + 4 * shape.heads
    per_score = 4 + c + (c if shape.attention_cap else 0)
    return norms + c * shape.query + repeated + per_score * _scores(shape, settings)


def _inputs(shape: Shape, settings: Settings, use: Precision) -> tuple[int, int]:
    """What trainable layers keep of their inputs, in the attention and the feed-forward part."""
    c, hidden = use.compute, shape.hidden
    attention, mlp = 0, 0
    if settings.finetuning_type == "full":
        copies = (3, 2) if use.residual != c else (1, 1)  # a cast of the wider input for every layer
        norms = shape.norms // 2 * use.residual * hidden
        return copies[0] * c * hidden + norms, copies[1] * c * hidden + norms + c * shape.intermediate
    own_copies = settings.autocast and not settings.pure_bf16
    seen: set[str] = set()
    for linear in shape.targets(settings.lora_target):
        part = "mlp" if linear.name in ("gate_proj", "up_proj", "gate_up_proj", "down_proj") else "attention"
        source = linear.name if linear.name in ("o_proj", "down_proj") else part
        kept = c * settings.lora_rank + (linear.inputs if settings.lora_dropout else 0)
        if own_copies or (source not in seen and linear.name != "o_proj"):
            kept += c * linear.inputs
        kept += 3 * c * linear.outputs if settings.use_dora else 0
        seen.add(source)
        attention, mlp = (attention + kept, mlp) if part == "attention" else (attention, mlp + kept)
    if stored_bits(shape, settings.quantization_bit) == 8:
        attention += c * hidden  # the 8-bit product keeps its input
        mlp += c * (hidden + shape.intermediate)
    return attention, mlp
