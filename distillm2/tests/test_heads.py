"""Hidden states and head against the model's own logits, for the ways in which models differ."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from distillm2.errors import DistillationError
from distillm2.heads import check_head, find_head, hidden_and_head

SIZES: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def make_qwen3() -> nn.Module:
    return Qwen3ForCausalLM(Qwen3Config(**SIZES, tie_word_embeddings=False))


def make_tied_llama() -> nn.Module:
    return LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True))


def make_gemma2() -> nn.Module:
    return Gemma2ForCausalLM(Gemma2Config(**SIZES, final_logit_softcapping=3.0))


def make_granite() -> nn.Module:
    return GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=8.0))


def make_cohere() -> nn.Module:
    return CohereForCausalLM(CohereConfig(**SIZES, logit_scale=0.25))


def with_adapter(**settings: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        config = LoraConfig(r=4, lora_alpha=8, init_lora_weights=False, **settings)
        return get_peft_model(make_qwen3(), config)

    return make


def with_bias() -> nn.Module:
    model = make_qwen3()
    model.lm_head = nn.Linear(32, 97, bias=True)
    return model


MODELS = {
    "qwen3": make_qwen3,
    "llama, tied": make_tied_llama,
    "gemma2, soft cap": make_gemma2,
    "granite, divided": make_granite,
    "cohere, multiplied": make_cohere,
    "bias": with_bias,
    "lora": with_adapter(target_modules=["q_proj", "v_proj"]),
    "lora on the head": with_adapter(target_modules=["q_proj", "lm_head"]),
    "head saved with the lora": with_adapter(target_modules=["q_proj"], modules_to_save=["lm_head"]),
}


@pytest.fixture(params=list(MODELS))
def model(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(3)
    return MODELS[request.param]().double().eval()


def make_inputs() -> dict[str, Tensor]:
    tokens = torch.randint(3, 97, (2, 7), generator=torch.Generator().manual_seed(5))
    mask = torch.ones_like(tokens)
    mask[1, 5:] = 0
    return {"input_ids": tokens, "attention_mask": mask}


def test_logits_and_gradients_are_the_models_own(model: nn.Module) -> None:
    inputs = make_inputs()
    projection = torch.randn(2, 7, 97, dtype=torch.float64, generator=torch.Generator().manual_seed(6))

    expected = model(**inputs, use_cache=False).logits
    (expected * projection).sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()

    hidden, head = hidden_and_head(model, inputs)
    assert hidden.shape == (2, 7, 32)
    actual = head(hidden)
    (actual * projection).sum().backward()

    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    assert gradients, "nothing is trainable"
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == (name in gradients), name
        if name in gradients:
            torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-9, atol=1e-12, msg=name)


def test_the_heads_trainable_parameters_are_named(model: nn.Module) -> None:
    head = find_head(model)
    hidden = torch.randn(3, 32, dtype=torch.float64)
    logits = head(hidden)
    reached = torch.autograd.grad(logits.sum(), head.trainable(), allow_unused=True) if logits.requires_grad else ()
    assert len(reached) == len(head.trainable())
    assert all(gradient is not None for gradient in reached)


def test_no_logits_of_all_positions_are_made(model: nn.Module) -> None:
    sizes: list[int] = []

    def watch(_module: nn.Module, _inputs: Any, output: Any) -> None:
        sizes.extend(
            part.shape[-1] for part in (output if isinstance(output, tuple) else [output]) if torch.is_tensor(part)
        )

    hooks = [module.register_forward_hook(watch) for module in model.modules()]
    hidden_and_head(model, make_inputs())
    for hook in hooks:
        hook.remove()
    assert sizes
    assert 97 not in sizes


def test_the_head_works_as_before_afterwards(model: nn.Module) -> None:
    inputs = make_inputs()
    before = model(**inputs, use_cache=False).logits
    hidden_and_head(model, inputs)
    assert torch.equal(model(**inputs, use_cache=False).logits, before)


def test_the_check_returns_the_vocabulary_and_leaves_the_mode(model: nn.Module) -> None:
    model.train()
    assert check_head(model, contextlib.nullcontext) == 97
    assert model.training


def test_a_model_that_changes_its_logits_otherwise_is_refused_by_name() -> None:
    class ShiftedForCausalLM(Qwen3ForCausalLM):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            output = super().forward(*args, **kwargs)
            output.logits = output.logits * 1.01
            return output

    with pytest.raises(DistillationError, match="ShiftedForCausalLM does something to its logits"):
        check_head(ShiftedForCausalLM(Qwen3Config(**SIZES)), contextlib.nullcontext)


def test_a_model_that_selects_logits_is_refused_by_name() -> None:
    class SelectingForCausalLM(Qwen3ForCausalLM):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            output = super().forward(*args, **kwargs)
            output.logits = output.logits[..., torch.arange(60)]
            return output

    with pytest.raises(DistillationError, match="SelectingForCausalLM fails on eight tokens"):
        check_head(SelectingForCausalLM(Qwen3Config(**SIZES)), contextlib.nullcontext)


def test_a_model_without_a_head_is_refused_by_name() -> None:
    from transformers import Qwen3Model

    with pytest.raises(DistillationError, match="Qwen3Model has no output head"):
        find_head(Qwen3Model(Qwen3Config(**SIZES)))


def test_mixed_precision_passes_the_check() -> None:
    def autocast() -> Any:
        return torch.autocast("cpu", dtype=torch.bfloat16)

    assert check_head(make_gemma2(), autocast) == 97
