"""The plan's activations and losses against bytes counted while real models run on the CPU."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from memory_tracking import PeakMemory

from distillm2.experiments.plan import make_plan
from distillm2.experiments.plan_activations import trained_activations
from distillm2.experiments.plan_loss import dense_loss
from distillm2.experiments.plan_settings import Settings
from distillm2.experiments.plan_shape import Shape, read_shape

# Proportions of the real models, smaller.
SIZES: dict[str, Any] = {"vocab_size": 512, "pad_token_id": 0, "torch_dtype": "bfloat16", "num_hidden_layers": 3}
CONFIGS: dict[str, dict[str, Any]] = {
    "qwen3": {"hidden_size": 128, "intermediate_size": 384, "num_attention_heads": 8, "head_dim": 16},
    "qwen2": {"hidden_size": 96, "intermediate_size": 560, "num_attention_heads": 6},
    "llama": {"hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 16, "head_dim": 8},
    "gemma2": {"hidden_size": 144, "intermediate_size": 576, "num_attention_heads": 4, "head_dim": 32},
    "phi3": {"hidden_size": 96, "intermediate_size": 256, "num_attention_heads": 6},
}
ROWS, LENGTH = 2, 128
BASE = Settings(
    "tiny",
    bf16=True,
    per_device_train_batch_size=ROWS,
    cutoff_len=LENGTH,
    lora_rank=4,
    disable_gradient_checkpointing=True,
)


def config_of(kind: str, **changes: Any) -> dict[str, Any]:
    return {"model_type": kind, "num_key_value_heads": 2, **SIZES, **CONFIGS[kind], **changes}


def build(config: dict[str, Any], settings: Settings) -> torch.nn.Module:
    """The model as LLaMA-Factory trains it: trainable parameters in fp32, checkpoints of blocks re-entrant."""
    from peft import LoraConfig, get_peft_model
    from torch.utils.checkpoint import checkpoint
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    attention = "eager" if settings.flash_attn == "disabled" else "sdpa"
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(**config), attn_implementation=attention, dtype=torch.bfloat16
    )
    model.config.use_cache = False
    if not settings.disable_gradient_checkpointing:
        model._set_gradient_checkpointing(True, partial(checkpoint, use_reentrant=True))
        model.enable_input_require_grads()
    if settings.finetuning_type == "lora":
        names = [linear.name for linear in read_shape(config, "tiny").linears]
        wanted = LoraConfig(
            task_type="CAUSAL_LM",
            r=settings.lora_rank,
            lora_dropout=settings.lora_dropout,
            use_dora=settings.use_dora,
            target_modules=names,
        )
        model = get_peft_model(model, wanted)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16 if settings.pure_bf16 else torch.float32)
    return model.train()


def decoder(model: Any) -> Any:
    """The part of a model below its head."""
    return (model.get_base_model() if hasattr(model, "get_base_model") else model).model


def saved_bytes(
    model: torch.nn.Module, ids: torch.Tensor, mask: torch.Tensor | None = None, *, amp: bool = True
) -> int:
    """Bytes of the different storages that autograd keeps for the backward pass, without parameters."""
    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16, enabled=amp):
        result = decoder(model)(input_ids=ids, attention_mask=mask).last_hidden_state
    assert result.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


def planned(shape: Shape, settings: Settings) -> int:
    use = trained_activations(shape, settings)
    kept = use.checkpoint if not settings.disable_gradient_checkpointing else use.block
    return shape.layers * kept + use.last


@pytest.fixture
def ids() -> torch.Tensor:
    return torch.randint(1, 500, (ROWS, LENGTH), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def padded(ids: torch.Tensor) -> torch.Tensor:
    """A mask in which the second row is half padding, as in most batches."""
    mask = torch.ones_like(ids)
    mask[1, : LENGTH // 2] = 0
    return mask


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("attention", ["sdpa", "disabled"])
def test_what_lora_keeps_without_checkpoints(
    kind: str, attention: str, ids: torch.Tensor, padded: torch.Tensor
) -> None:
    settings = replace(BASE, flash_attn=attention)
    config = config_of(kind)
    measured = saved_bytes(build(config, settings), ids, padded)
    assert planned(read_shape(config, kind), settings) == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize("kind", CONFIGS)
def test_rows_of_one_length_need_less(kind: str, ids: torch.Tensor) -> None:
    """Without padding the key and value heads are not repeated; the plan does not count on it."""
    config = config_of(kind)
    measured = saved_bytes(build(config, BASE), ids)
    assert 0.99 * measured < planned(read_shape(config, kind), replace(BASE, flash_attn="sdpa")) < 1.15 * measured


@pytest.mark.parametrize("kind", CONFIGS)
def test_what_is_kept_with_checkpoints(kind: str, ids: torch.Tensor) -> None:
    settings = replace(BASE, disable_gradient_checkpointing=False)
    config = config_of(kind, num_hidden_layers=8)
    measured = saved_bytes(build(config, settings), ids)
    assert planned(read_shape(config, kind), settings) == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize("kind", ["qwen3", "llama", "gemma2"])
@pytest.mark.parametrize(
    "changes",
    [
        {"use_dora": True},
        {"pure_bf16": True, "bf16": False},
        {"finetuning_type": "full"},
        {"finetuning_type": "full", "pure_bf16": True, "bf16": False},
    ],
)
def test_what_other_methods_keep(kind: str, changes: dict[str, Any], ids: torch.Tensor) -> None:
    settings = replace(BASE, flash_attn="sdpa", **changes)
    config = config_of(kind)
    shape = read_shape(config, kind)
    measured = saved_bytes(build(config, settings), ids, amp=settings.bf16)
    copies = 2 * shape.block_weights if settings.finetuning_type == "full" and settings.bf16 else 0
    assert planned(shape, settings) + copies == pytest.approx(measured, rel=0.15)


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize(("attention", "dora"), [("sdpa", False), ("disabled", False), ("sdpa", True)])
def test_the_peak_of_a_backward_pass(kind: str, attention: str, dora: bool, ids: torch.Tensor) -> None:
    settings = replace(BASE, flash_attn=attention, use_dora=dora, disable_gradient_checkpointing=False)
    config = config_of(kind, num_hidden_layers=6)
    shape = read_shape(config, kind)
    model = build(config, settings)
    with PeakMemory([*model.parameters(), *model.buffers(), ids]) as memory:
        with torch.autocast("cpu", torch.bfloat16):
            hidden = decoder(model)(input_ids=ids).last_hidden_state
        memory.restart()
        hidden.backward(torch.ones_like(hidden))
    gradients = sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    use = trained_activations(shape, settings)
    expected = planned(shape, settings) + use.block + use.backward + gradients
    assert expected == pytest.approx(memory.peak, rel=0.15)


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_peak_of_dense_logits(kind: str) -> None:
    """Supervised fine-tuning as transformers computes it, with accelerate's copy of the logits in fp32."""
    from accelerate.utils import convert_outputs_to_fp32

    config = config_of(kind, vocab_size=8192, num_hidden_layers=1)
    settings = replace(BASE, disable_gradient_checkpointing=False)
    model = build(config, settings)
    ids = torch.randint(1, 500, (ROWS, LENGTH))
    forward = convert_outputs_to_fp32(torch.autocast("cpu", torch.bfloat16)(model.forward))
    with PeakMemory([*model.parameters(), *model.buffers(), ids]) as memory:
        loss = forward(input_ids=ids, labels=ids).loss
        loss.backward()
    shape = read_shape(config, kind)
    expected = dense_loss(shape, settings).bytes + planned(shape, settings)
    assert expected == pytest.approx(memory.peak, rel=0.15)


@pytest.mark.parametrize(
    ("kind", "loss"), [("qwen3", "distillm2"), ("qwen3", "kl"), ("gemma2", "distillm2"), ("llama", "js")]
)
def test_the_peak_of_a_distillation_step(kind: str, loss: Any, tmp_path: Any) -> None:
    """Teacher's forward pass, student's, chunked loss, backward pass, as the trainer runs them."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from distillm2.heads import hidden_and_head
    from distillm2.loss.chunked import distillation_loss
    from distillm2.loss.objective import Objective
    from distillm2.loss.targets import HeadTarget

    vocabulary, chunk = 8192, 16
    config = config_of(kind, vocab_size=vocabulary)
    larger = config_of(kind, vocab_size=vocabulary, hidden_size=2 * CONFIGS[kind]["hidden_size"])
    for name, values in (("student", config), ("teacher", larger)):
        AutoConfig.for_model(**values).save_pretrained(tmp_path / name)
    settings = replace(
        BASE,
        model_name_or_path=str(tmp_path / "student"),
        teacher_model=str(tmp_path / "teacher"),
        stage="distillm2",
        per_device_train_batch_size=1,
        disable_gradient_checkpointing=False,
        flash_attn="sdpa",
        distill_chunk_size=chunk,
        distill_loss=loss,
    )
    student = build(config, settings)
    teacher = AutoModelForCausalLM.from_config(AutoConfig.for_model(**larger), dtype=torch.bfloat16).eval()
    teacher.requires_grad_(False)
    ids = torch.randint(1, 500, (settings.rows, LENGTH))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    rows, columns = torch.ones(settings.rows, LENGTH - 1).nonzero(as_tuple=True)
    labels, ones = ids[rows, columns + 1], torch.ones(len(rows))
    models = [*student.parameters(), *student.buffers(), *teacher.parameters(), *teacher.buffers()]
    with PeakMemory([*models, *inputs.values(), rows, columns, labels, ones]) as memory:
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                hidden, head = hidden_and_head(teacher, inputs)
            target = HeadTarget(hidden[rows, columns], head)
            del hidden
            hidden, head = hidden_and_head(student, inputs)
            terms = distillation_loss(
                hidden[rows, columns], head, target, labels, rows >= 1, ones * 0.1, ones, ones * 0,
                Objective(loss, 1.0, 0.0), chunk, vocabulary,
            )  # fmt: skip
        del target, hidden
        terms.loss.backward()
    plan = make_plan(settings)
    fixed = ("Weights", "LoRA", "Optimizer", "Teacher")
    expected = plan.allocated - sum(row.bytes for row in plan.rows if row.name in fixed)
    assert expected == pytest.approx(memory.peak, rel=0.15)
