"""Bytes of what stays on the GPU: weights by quantisation, trainable parameters, gradients, optimizer states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from distillm2.errors import DistillationError
from distillm2.experiments.plan_settings import Settings
from distillm2.experiments.plan_shape import Shape

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
BLOCK_4BIT, BLOCK_NESTED = 64, 256  # bitsandbytes' block sizes
EMBEDDINGS = ("embed_tokens", "lm_head")

# Bytes of state per trainable parameter; "p" is the parameter's own width, paged states may leave the GPU.
OPTIMIZERS: Mapping[str, tuple[float, float]] = {  # name: (multiples of p, bytes besides)
    "adamw_torch": (2, 0),
    "adamw_torch_fused": (2, 0),
    "adamw_apex_fused": (2, 0),
    "adamw_torch_8bit": (0, 2 + 8 / 256),
    "adamw_torch_4bit": (0, 1 + 8 / 128),
    "adamw_8bit": (0, 2 + 8 / 256),
    "adamw_bnb_8bit": (0, 2 + 8 / 256),
    "paged_adamw_32bit": (0, 0),
    "paged_adamw_8bit": (0, 0),
    "lion_32bit": (0, 4),
    "lion_8bit": (0, 1 + 4 / 256),
    "paged_lion_32bit": (0, 0),
    "paged_lion_8bit": (0, 0),
    "adagrad": (1, 0),
    "rmsprop": (1, 0),
    "sgd": (0, 0),
    "adafactor": (0, 0),
}


@dataclass(frozen=True)
class Size:
    """Bytes with the arithmetic behind them, in words."""

    bytes: int
    formula: str


def width(shape: Shape) -> int:
    """Bytes per weight as loaded: LLaMA-Factory keeps the checkpoint's own type (fp32 where none is recorded)."""
    name = shape.dtype or "float32"
    if name not in BYTES:
        raise DistillationError(f"{shape.name}: dtype {name!r} cannot be planned; known: {', '.join(BYTES)}")
    return BYTES[name]


def stored_bits(shape: Shape, bits: int | None) -> int | None:
    """Bits of the blocks' matrices: those of a checkpoint quantised with bitsandbytes come before ``bits``."""
    stored = shape.quantisation or {}
    if stored.get("quant_method") == "bitsandbytes":
        return 4 if stored.get("load_in_4bit") else 8
    return bits


def weights(shape: Shape, bits: int | None = None, double: bool = True, wide: bool = False) -> Size:
    """A model's weights. ``bits`` 4 or 8: bitsandbytes quantises the blocks' matrices, embeddings and head stay.

    ``wide``: all of them in fp32, as full fine-tuning holds them.
    """
    size = 4 if wide else width(shape)
    if shape.quantisation and shape.quantisation.get("quant_method") in ("awq", "gptq"):
        return _grouped(shape, shape.quantisation, size)
    bits = stored_bits(shape, bits)
    if bits is None:
        return Size(shape.parameters * size, f"{shape.parameters:,} parameters x {size} B")
    rest = (shape.parameters - shape.block_weights) * size
    if bits == 8:
        rows = shape.layers * sum(linear.outputs for linear in shape.linears)
        note = f"{shape.block_weights:,} x 1 B + {rows:,} row scales x 4 B"
        return Size(shape.block_weights + 4 * rows + rest, f"{note} + embeddings and norms x {size} B")
    blocks = shape.layers * sum(_matrix_4bit(linear.weights, double) for linear in shape.linears)
    per = blocks / shape.block_weights
    return Size(
        blocks + rest,
        f"{shape.block_weights:,} x {per:.4f} B (4 bits + constants) + "
        f"{shape.parameters - shape.block_weights:,} of embeddings and norms x {size} B",
    )


def dequantised(shape: Shape, bits: int | None) -> int:
    """Bytes of the largest matrix in half precision, which is unpacked for every product with it."""
    quantised = shape.quantisation is not None or bits is not None
    return 2 * max(linear.weights for linear in shape.linears) if quantised else 0


def _matrix_4bit(count: int, double: bool) -> int:
    blocks = ceil(count / BLOCK_4BIT)
    constants = blocks + 4 * ceil(blocks / BLOCK_NESTED) if double else 4 * blocks
    return ceil(count / 2) + constants


def _grouped(shape: Shape, stored: Mapping[str, Any], size: int) -> Size:
    """AWQ and GPTQ: per group a half-precision scale and a zero point of as many bits as a weight."""
    bits, group = stored.get("bits", 4), stored.get("group_size", 128)
    if bits not in (2, 3, 4, 8) or not isinstance(group, int) or group < 1:
        raise DistillationError(
            f"{shape.name}: quantization_config with bits {bits!r}, group_size {group!r} is unknown"
        )
    per = bits / 8 + (2 + bits / 8) / group
    rest = shape.parameters - shape.block_weights
    return Size(
        ceil(shape.block_weights * per) + rest * size,
        f"{shape.block_weights:,} x {per:.4f} B ({stored['quant_method']}) + {rest:,} x {size} B",
    )


def trained(shape: Shape, settings: Settings) -> int:
    """Number of trainable parameters."""
    if settings.finetuning_type == "full":
        return shape.parameters
    linears = shape.targets(settings.lora_target)
    count = sum(settings.lora_rank * (linear.inputs + linear.outputs) for linear in linears)
    count += sum(linear.outputs for linear in linears) if settings.use_dora else 0
    names = [part.strip() for part in (settings.additional_target or "").split(",") if part.strip()]
    for name in names:
        if name not in EMBEDDINGS:
            raise DistillationError(f"additional_target {name!r} cannot be planned; known: {', '.join(EMBEDDINGS)}")
    return count * shape.layers + len(names) * shape.embedding


def trained_width(settings: Settings) -> int:
    """Bytes per trainable parameter: LLaMA-Factory casts them to fp32 unless ``pure_bf16``."""
    return 2 if settings.pure_bf16 else 4


def optimizer(shape: Shape, settings: Settings) -> Size:
    """States of the optimizer that ``optim`` names."""
    name, count, p = settings.optim, trained(shape, settings), trained_width(settings)
    if name not in OPTIMIZERS:
        raise DistillationError(f"optim {name!r} cannot be planned; known: {', '.join(OPTIMIZERS)}")
    if name == "adafactor":
        return Size(_factored(shape, settings) * 4, "rows + columns of every matrix x 4 B")
    if name.startswith("paged_"):
        return Size(0, "paged: moves to host memory when the GPU is full")
    multiples, others = OPTIMIZERS[name]
    per = multiples * p + others
    return Size(ceil(count * per), f"{count:,} x {per:g} B ({name})")


def optimizer_step(shape: Shape, settings: Settings) -> Size:
    """What the step itself needs: ``adamw_torch`` holds the denominators of all parameters at once."""
    if settings.optim != "adamw_torch":
        return Size(0, "none")
    count, p = trained(shape, settings), trained_width(settings)
    return Size(count * p, f"{count:,} x {p} B denominators")


def _factored(shape: Shape, settings: Settings) -> int:
    if settings.finetuning_type == "lora":
        rank = settings.lora_rank
        sides = sum(linear.inputs + linear.outputs + 2 * rank for linear in shape.targets(settings.lora_target))
        return sides * shape.layers
    sides = sum(linear.inputs + linear.outputs for linear in shape.linears) + shape.norms * shape.hidden
    sides += 2 * shape.head_width if shape.query_norm else 0
    return shape.layers * sides + (shape.vocabulary + shape.hidden) * (1 if shape.tied else 2) + shape.hidden
