"""Bytes of the loss: dense logits of every position (sft, dpo) or chunks of them (distillm2), and of the teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from distillm2.errors import DistillationError
from distillm2.experiments.plan_activations import forward_only, precision
from distillm2.experiments.plan_find import find_shape, read_json
from distillm2.experiments.plan_settings import Settings
from distillm2.experiments.plan_shape import Shape
from distillm2.experiments.plan_weights import Size, dequantised, stored_bits, width

# fp32 buffers [chunk, V] of the divergence at a time, by the loss; both models' exponentials and what is between them.
TEMPORARIES: Mapping[str, int] = {"distillm2": 4, "distillm": 4, "js": 5, "kl": 5, "rkl": 5}
BLOCK = 1 << 25  # numbers in such a buffer at most
WITHOUT_REFERENCE = ("orpo", "simpo")
TOP_K = 64  # what `distillm2 cache` keeps unless it is told otherwise


@dataclass(frozen=True)
class Teacher:
    """A teacher in memory; ``shared``: only an adapter, on the student's own weights."""

    shape: Shape
    bits: int | None
    shared: bool = False


def find_teacher(student: Shape, settings: Settings) -> Teacher | None:
    """The teacher that the stage loads, None where it reads a cache or the stage has none."""
    if settings.stage != "distillm2" or settings.teacher_cache:
        return None
    if settings.teacher_model:
        shape, _ = find_shape(settings.teacher_model, settings.cache_dir)
        return Teacher(shape, stored_bits(shape, settings.teacher_quantization_bit))
    if settings.teacher_adapter:
        return Teacher(
            student, stored_bits(student, settings.quantization_bit), shared=settings.finetuning_type == "lora"
        )
    raise DistillationError("Stage distillm2 needs teacher_model, teacher_adapter or teacher_cache")


def needs_reference(settings: Settings) -> bool:
    """Whether dpo compares with a reference; with LoRA that is the model without its adapter."""
    return settings.stage == "dpo" and settings.pref_loss not in WITHOUT_REFERENCE


def dense_loss(shape: Shape, settings: Settings) -> Size:
    """LLaMA-Factory's sft and dpo: logits, their fp32 copy, log-softmax and gradients of all positions."""
    numbers = settings.tokens * shape.vocabulary
    compute = precision(shape, settings).compute
    if settings.enable_liger_kernel and settings.stage != "dpo":
        return _liger(shape, settings, compute)
    extra = 2 * compute if shape.logit_cap else 0  # tanh's result and its product with the cap
    if needs_reference(settings):
        per, why = 16, "policy's logits and log-softmax, and the reference's, in fp32"
    else:
        per, why = 12, "log-softmax and two gradients in fp32"
    return Size(numbers * (per + extra), f"{settings.tokens:,} tokens x {shape.vocabulary:,} x {per + extra} B: {why}")


def _liger(shape: Shape, settings: Settings, compute: int) -> Size:
    parts = ceil(shape.vocabulary / shape.hidden)
    chunk = 1 << (ceil(settings.tokens / parts) - 1).bit_length()
    size = chunk * shape.vocabulary * compute + settings.tokens * shape.hidden * compute
    return Size(
        size, f"Liger: {chunk:,} tokens at a time x {shape.vocabulary:,} x {compute} B + hidden states' gradient"
    )


def chunked_loss(shape: Shape, teacher: Teacher | None, settings: Settings) -> Size:
    """The stage's own loss: a chunk's logits, their gradient and fp32 temporaries; hidden states of all tokens."""
    compute, chunk = precision(shape, settings).compute, settings.distill_chunk_size
    numbers = min(chunk, settings.tokens) * shape.vocabulary
    if teacher is None:
        temporaries, theirs = 2, 0
    else:
        temporaries = TEMPORARIES[settings.distill_loss]
        theirs = min(chunk, settings.tokens) * teacher.shape.vocabulary * compute
    size = 2 * numbers * compute + theirs + 4 * temporaries * min(numbers, BLOCK)
    capped = numbers * compute * 2 if shape.logit_cap else 0
    hidden = 3 * settings.tokens * shape.hidden * compute
    if settings.finetuning_type == "full" or "lm_head" in (settings.additional_target or ""):
        hidden += (8 + compute) * shape.embedding  # its gradient's sum, the same scaled, a half-precision copy
    return Size(
        size + capped + hidden,
        f"{chunk} tokens x {shape.vocabulary:,}: {'two' if teacher is None else 'three'} of {compute} B, "
        f"{temporaries} of 4 B; hidden states and gradients {settings.tokens:,} x {shape.hidden:,} x {3 * compute} B",
    )


def teacher_forward(teacher: Teacher, settings: Settings) -> Size:
    """What the teacher needs while it reads the batch; it keeps nothing but its last hidden states."""
    unpacked = dequantised(teacher.shape, teacher.bits)
    size = forward_only(teacher.shape, settings, _compute(teacher, settings)) + teacher_hidden(teacher, settings).bytes
    return Size(
        size + unpacked,
        f"one block at a time, {settings.tokens:,} tokens{' + one matrix unpacked' if unpacked else ''}",
    )


def teacher_hidden(teacher: Teacher, settings: Settings) -> Size:
    """The teacher's last hidden states at the response's tokens, at most all."""
    compute, hidden = _compute(teacher, settings), teacher.shape.hidden
    return Size(settings.tokens * hidden * compute, f"{settings.tokens:,} tokens x {hidden:,} x {compute} B")


def _compute(teacher: Teacher, settings: Settings) -> int:
    """Bytes per number of the teacher's activations."""
    return 2 if settings.autocast else width(teacher.shape)


def cached_batch(settings: Settings) -> Size:
    """Top-k log-probabilities of a batch; k is read from the cache's manifest where there is one."""
    manifest = Path(settings.teacher_cache or "") / "manifest.json"
    value = read_json(manifest).get("top_k") if manifest.is_file() else None
    k = value if isinstance(value, int) else TOP_K
    guess = "" if value else f" (no cache there yet: k = {TOP_K} assumed)"
    return Size(settings.tokens * (12 * k + 8), f"{settings.tokens:,} tokens x (top {k} x 12 B + 8 B){guess}")


def evaluation(shape: Shape, teacher: Teacher | None, settings: Settings) -> Size:
    """One batch of evaluation, which has its own size and no gradients."""
    held = replace(settings, per_device_train_batch_size=settings.per_device_eval_batch_size)
    compute = precision(shape, held).compute
    forward = forward_only(shape, held, compute)
    if held.stage == "distillm2":
        loss = chunked_loss(shape, teacher, held).bytes
        loss += teacher_hidden(teacher, held).bytes if teacher else cached_batch(held).bytes
        forward = max(forward, teacher_forward(teacher, held).bytes) if teacher else forward
        size = max(forward, loss)
    else:
        per = 16 if needs_reference(held) else compute + 8
        size = max(forward, held.tokens * shape.vocabulary * per)
    return Size(size, f"per_device_eval_batch_size {held.per_device_train_batch_size}: {held.tokens:,} tokens")
