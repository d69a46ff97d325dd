"""The memory of one training step on one GPU, in rows that add up, from a YAML and the models' ``config.json``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil

from distillm2.errors import DistillationError
from distillm2.experiments.plan_activations import attention_kind, precision, trained_activations
from distillm2.experiments.plan_find import find_shape
from distillm2.experiments.plan_loss import (
    Teacher,
    cached_batch,
    chunked_loss,
    dense_loss,
    evaluation,
    find_teacher,
    needs_reference,
    teacher_forward,
    teacher_hidden,
)
from distillm2.experiments.plan_settings import Settings
from distillm2.experiments.plan_shape import Shape
from distillm2.experiments.plan_weights import (
    Size,
    dequantised,
    optimizer,
    optimizer_step,
    stored_bits,
    trained,
    trained_width,
    weights,
)

GIB = 1 << 30
CONTEXT, FRAGMENTS = int(0.6 * GIB), 0.05
MOMENTS = ("teacher", "forward", "loss", "backward", "optimizer step", "evaluation")
TEACHER, FORWARD, LOSS, BACKWARD, STEP, EVALUATION = MOMENTS
TRAINING = (FORWARD, LOSS, BACKWARD)


@dataclass(frozen=True)
class Row:
    """Bytes of one kind; ``moments`` says when they are held, none means always."""

    name: str
    bytes: int
    formula: str
    moments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All rows of a step. Those that are not held at the ``peak`` do not count: their memory is free by then."""

    settings: Settings
    rows: tuple[Row, ...]

    @property
    def peak(self) -> str:
        """The moment that needs most."""
        return max(MOMENTS, key=self.held)

    @property
    def total(self) -> int:
        """Bytes at the peak."""
        return self.held(self.peak)

    @property
    def allocated(self) -> int:
        """The part of it that ``torch.cuda.max_memory_allocated`` sees."""
        outside = sum(row.bytes for row in self.rows if row.name in (CONTEXT_ROW, FRAGMENTS_ROW))
        return self.total - outside

    def held(self, moment: str) -> int:
        """Bytes at a moment."""
        return sum(row.bytes for row in self.rows if not row.moments or moment in row.moments)


CONTEXT_ROW, FRAGMENTS_ROW = "CUDA context", "Fragmentation"


def make_plan(settings: Settings, gpus: int = 1) -> Plan:
    """Plan a training step.

    Raises DistillationError when a model is unknown or something in the settings cannot be planned.
    """
    student, _ = find_shape(settings.model_name_or_path, settings.cache_dir)
    teacher = find_teacher(student, settings)
    rows = [
        *_weights(student, settings),
        *_trained(student, settings, gpus),
        *_teacher_weights(student, teacher, settings),
        *_activations(student, settings),
        *_loss(student, teacher, settings),
    ]
    fragments = ceil(FRAGMENTS * Plan(settings, tuple(rows)).total)
    rows.append(Row(CONTEXT_ROW, CONTEXT, "context, kernels, cuBLAS (rule of thumb)"))
    rows.append(Row(FRAGMENTS_ROW, fragments, f"{FRAGMENTS:.0%} of all above (rule of thumb)"))
    return Plan(settings, tuple(rows))


def parse_memory(text: str) -> int:
    """Bytes of ``24GB``, ``24GiB`` or ``22.5GiB``; makers of GPUs write GB for GiB."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(GB|GiB|G|MB|MiB|M)?", text.strip(), re.IGNORECASE)
    if match is None or float(match[1]) <= 0:
        raise DistillationError(f"--gpu {text!r} is no size of memory; write 24GB, 22.5GiB or 8192MiB")
    return int(float(match[1]) * (1 << 20 if (match[2] or "G").upper().startswith("M") else GIB))


def _weights(student: Shape, settings: Settings) -> list[Row]:
    wide = settings.finetuning_type == "full" and not settings.pure_bf16
    held = weights(student, settings.quantization_bit, settings.double_quantization, wide)
    rows = [Row("Weights", held.bytes, held.formula)]
    separate = settings.finetuning_type == "full" or settings.ref_model is not None
    if needs_reference(settings) and separate:
        reference, _ = find_shape(settings.ref_model or settings.model_name_or_path, settings.cache_dir)
        held = weights(reference, settings.ref_model_quantization_bit)
        rows.append(Row("Reference model", held.bytes, held.formula))
    return rows


def _trained(student: Shape, settings: Settings, gpus: int) -> list[Row]:
    full = settings.finetuning_type == "full"
    count, p = trained(student, settings), trained_width(settings)
    states = optimizer(student, settings)
    adapter = "DoRA" if settings.use_dora else "LoRA"
    rows = [] if full else [Row(adapter, count * p, f"rank {settings.lora_rank}: {count:,} parameters x {p} B")]
    if settings.zero is None:
        return [
            *rows,
            Row("Gradients", count * p, f"{count:,} x {p} B"),
            Row("Optimizer", states.bytes, states.formula),
            *_some("Optimizer's step", optimizer_step(student, settings), STEP),
        ]
    bucket, buffers = settings.zero.bucket or student.hidden**2, 2 if settings.zero.overlap else 1
    shared = f"{count:,} / {gpus} GPU{'s' if gpus > 1 else ''}"
    return [
        *rows,
        Row("Gradients", ceil(2 * count / gpus), f"{shared} x 2 B (ZeRO-2)"),
        Row("Optimizer", ceil((4 * count + 2 * states.bytes) / gpus), f"{shared}: fp32 copy and states in fp32"),
        Row("ZeRO-2 buckets", 2 * bucket * buffers, f"{bucket:,} x 2 B x {buffers}"),
    ]


def _teacher_weights(student: Shape, teacher: Teacher | None, settings: Settings) -> list[Row]:
    if teacher is None:
        return []
    if teacher.shared:
        return [Row("Teacher", 0, "an adapter on the student's own weights; as large as its file")]
    held = weights(teacher.shape, teacher.bits, settings.double_quantization)
    return [Row(f"Teacher{f' in {teacher.bits} bits' if teacher.bits else ''}", held.bytes, held.formula)]


def _activations(student: Shape, settings: Settings) -> list[Row]:
    use, kind = trained_activations(student, settings), attention_kind(student, settings)
    unpacked = dequantised(student, stored_bits(student, settings.quantization_bit))
    copies = Size(_copies(student, settings), "of fp32 weights")
    tokens, per = f"{settings.tokens:,} tokens", use.block / settings.tokens
    rows = []
    if settings.disable_gradient_checkpointing:
        kept = Size(
            student.layers * use.block + use.last, f"{student.layers} blocks x {tokens} x {per:,.0f} B ({kind})"
        )
        rows += _some("Activations", kept, *TRAINING)
        rows += _some("Backward", Size(use.backward + unpacked, "gradients inside one block"), BACKWARD)
        rows += _some("Half-precision copies", copies, *TRAINING)
    else:
        blocks = 0 if settings.use_unsloth_gc else student.layers
        note = f"{blocks} blocks x {tokens} x {student.hidden:,} x {precision(student, settings).residual} B + the last"
        again = use.block + use.backward + unpacked + copies.bytes // student.layers
        rows += _some("Activations (checkpoints)", Size(blocks * use.checkpoint + use.last, note), *TRAINING)
        note = f"{tokens} x {(use.block + use.backward) / settings.tokens:,.0f} B ({kind})"
        rows += _some("Activations (one block again)", Size(again, note + _unpacked(unpacked)), BACKWARD)
        rows += _some("Half-precision copies", copies, FORWARD, *(() if settings.stage == "distillm2" else (LOSS,)))
    rows += _some("Forward", Size(use.forward + unpacked, "inside one block" + _unpacked(unpacked)), FORWARD)
    if settings.finetuning_type == "full":
        rows += _some("Embedding's gradient", Size(4 * student.embedding, "dense, beside the sum"), BACKWARD)
    return rows


def _copies(student: Shape, settings: Settings) -> int:
    """Bytes of the half-precision copies that autocast makes of fp32 weights."""
    wide = precision(student, settings).residual == 4 and settings.autocast
    if not wide or stored_bits(student, settings.quantization_bit):
        return 0
    head = student.embedding if settings.finetuning_type == "full" else 0
    return 2 * (student.block_weights + head)


def _loss(student: Shape, teacher: Teacher | None, settings: Settings) -> list[Row]:
    rows = []
    if settings.stage == "distillm2":
        rows += _some("Loss (chunks)", chunked_loss(student, teacher, settings), LOSS)
        if teacher is None:
            rows += _some("Teacher's cached batch", cached_batch(settings), FORWARD, LOSS)
        else:
            rows += _some("Teacher's activations", teacher_forward(teacher, settings), TEACHER)
            rows += _some("Teacher's hidden states", teacher_hidden(teacher, settings), FORWARD, LOSS)
    else:
        rows += _some("Loss (logits)", dense_loss(student, settings), LOSS)
    if settings.evaluates:
        rows += _some("Evaluation", evaluation(student, teacher, settings), EVALUATION)
    return rows


def _unpacked(size: int) -> str:
    return " + one matrix unpacked" if size else ""


def _some(name: str, size: Size, *moments: str) -> list[Row]:
    return [Row(name, size.bytes, size.formula, moments)] if size.bytes else []
