"""Parameters and bytes of the plan against the models that transformers, PEFT and bitsandbytes build."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from transformers import TrainingArguments

from distillm2.errors import DistillationError
from distillm2.experiments.argument_names import choices, known_arguments
from distillm2.experiments.plan_find import find_shape, known_models
from distillm2.experiments.plan_settings import Settings
from distillm2.experiments.plan_shape import FAMILIES, read_shape
from distillm2.experiments.plan_weights import OPTIMIZERS, optimizer, trained, weights

REAL = (
    "Qwen/Qwen3-1.7B",
    "Qwen/Qwen3-4B",
    "Qwen/Qwen3-8B",
    "Qwen/Qwen2.5-7B",
    "meta-llama/Llama-3.2-1B",
    "google/gemma-2-2b-it",
    "google/gemma-3-1b-it",
    "mistralai/Mistral-7B-v0.3",
    "microsoft/Phi-4-mini-instruct",
    "LGAI-EXAONE/EXAONE-4.0-1.2B",
    "HuggingFaceTB/SmolLM2-135M",
)
PUBLISHED = {  # as their hubs' safetensors metadata counts them
    "Qwen/Qwen3-1.7B": 1_720_574_976,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "Qwen/Qwen2.5-7B": 7_615_616_512,
    "meta-llama/Llama-3.2-1B": 1_235_814_400,
    "google/gemma-2-2b-it": 2_614_341_888,
    "google/gemma-3-1b-it": 999_885_952,
    "mistralai/Mistral-7B-v0.3": 7_248_023_552,
}


def on_meta(config: dict[str, Any]) -> torch.nn.Module:
    """The model of a configuration without storage, with fewer layers where only one layer's sizes matter."""
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))


def counted(model: torch.nn.Module, *, trainable: bool = False) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable)


@pytest.mark.parametrize("name", REAL)
def test_parameters_are_those_of_transformers(name: str) -> None:
    shape, _ = find_shape(name)
    assert shape.parameters == counted(on_meta(dict(known_models()[name])))


@pytest.mark.parametrize(("name", "count"), PUBLISHED.items())
def test_the_table_has_the_published_sizes(name: str, count: int) -> None:
    assert find_shape(name)[0].parameters == count


@pytest.mark.parametrize("kind", FAMILIES)
def test_defaults_of_every_family_are_those_of_transformers(kind: str) -> None:
    """A config.json names only what differs from the defaults."""
    config = {
        "model_type": kind,
        "vocab_size": 512,
        "hidden_size": 96,
        "intermediate_size": 160,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "pad_token_id": 0,
    }
    assert read_shape(config, kind).parameters == counted(on_meta(config))


@pytest.mark.parametrize("key", ["attention_bias", "mlp_bias"])
def test_biases_count(key: str) -> None:
    config = dict(known_models()["meta-llama/Llama-3.2-1B"]) | {key: True, "num_hidden_layers": 2}
    assert read_shape(config, "biased").parameters == counted(on_meta(config))


@pytest.mark.parametrize("name", ["Qwen/Qwen3-1.7B", "google/gemma-2-2b-it", "microsoft/Phi-4-mini-instruct"])
@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({}, {}),
        ({"use_dora": True}, {"use_dora": True}),
        ({"additional_target": "lm_head"}, {"modules_to_save": ["lm_head"]}),
        ({"lora_target": "o_proj,down_proj"}, {"target_modules": ["o_proj", "down_proj"]}),
    ],
)
def test_trainable_parameters_are_those_of_peft(name: str, changes: dict[str, Any], options: dict[str, Any]) -> None:
    from peft import LoraConfig, get_peft_model

    config = dict(known_models()[name]) | {"num_hidden_layers": 2, "tie_word_embeddings": False}
    model = on_meta(config)
    shape = read_shape(config, name)
    every = [linear.name for linear in shape.linears]
    wanted = LoraConfig(task_type="CAUSAL_LM", r=16, **{"target_modules": every, **options})
    settings = replace(Settings(name, lora_rank=16), **changes)
    assert trained(shape, settings) == counted(get_peft_model(model, wanted), trainable=True)


@pytest.mark.parametrize("double", [True, False])
def test_four_bit_bytes_are_those_of_bitsandbytes(double: bool) -> None:
    functional = pytest.importorskip("bitsandbytes.functional")
    config = dict(known_models()["HuggingFaceTB/SmolLM2-135M"]) | {"num_hidden_layers": 1}
    shape = read_shape(config, "one block")
    held = 0
    for linear in shape.linears:
        packed, state = functional.quantize_4bit(
            torch.randn(linear.outputs, linear.inputs, dtype=torch.bfloat16),
            blocksize=64,
            quant_type="nf4",
            compress_statistics=double,
        )
        held += packed.nbytes + state.absmax.nbytes
        held += state.state2.absmax.nbytes if double else 0
    held += (shape.parameters - shape.block_weights) * 2
    assert weights(shape, 4, double).bytes == held


@pytest.mark.parametrize("name", ["adamw_torch", "adamw_torch_fused", "adagrad", "rmsprop", "sgd"])
@pytest.mark.parametrize("pure", [False, True])
def test_optimizer_states_are_those_of_torch(name: str, pure: bool) -> None:
    classes = {
        "adamw_torch": torch.optim.AdamW,
        "adamw_torch_fused": torch.optim.AdamW,
        "adagrad": torch.optim.Adagrad,
        "rmsprop": torch.optim.RMSprop,
        "sgd": torch.optim.SGD,
    }
    config = dict(known_models()["HuggingFaceTB/SmolLM2-135M"]) | {"num_hidden_layers": 1, "vocab_size": 64}
    settings = Settings("one block", finetuning_type="full", optim=name, pure_bf16=pure)
    shape = read_shape(config, "one block")
    parameter = torch.nn.Parameter(torch.zeros(shape.parameters, dtype=torch.bfloat16 if pure else torch.float32))
    parameter.grad = torch.zeros_like(parameter)
    used = classes[name]([parameter], lr=0.1)
    used.step()
    states = [t for state in used.state.values() for t in state.values() if torch.is_tensor(t) and t.numel() > 1]
    assert optimizer(shape, settings).bytes == sum(tensor.nbytes for tensor in states)


def test_adafactor_states_are_those_of_transformers() -> None:
    from transformers.optimization import Adafactor

    config = dict(known_models()["HuggingFaceTB/SmolLM2-135M"]) | {"num_hidden_layers": 1, "vocab_size": 64}
    shape = read_shape(config, "one block")
    from transformers import AutoConfig, AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    used = Adafactor(model.parameters(), scale_parameter=False, relative_step=False, lr=0.1)
    used.step()
    states = [t for state in used.state.values() for t in state.values() if torch.is_tensor(t) and t.numel() > 1]
    settings = Settings("one block", finetuning_type="full", optim="adafactor")
    assert optimizer(shape, settings).bytes == sum(tensor.nbytes for tensor in states)


def test_an_unknown_optimizer_is_refused_with_the_known_ones() -> None:
    shape, _ = find_shape("Qwen/Qwen3-1.7B")
    with pytest.raises(DistillationError, match=r"'adamw' cannot be planned; known: .*adamw_torch"):
        optimizer(shape, Settings("x", optim="adamw"))
    assert "adafactor" in OPTIMIZERS


def test_a_checkpoint_quantised_before_is_smaller() -> None:
    config = dict(known_models()["Qwen/Qwen3-8B"])
    stored = config | {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}}
    whole, awq = (weights(read_shape(values, "8B")).bytes for values in (config, stored))
    assert 5.5e9 < awq < 6.2e9 < whole


def test_the_argument_names_are_those_of_the_parser() -> None:
    """Names and literals are read from sources; LLaMA-Factory's parser and the stage's fields say the same."""
    from llamafactory.hparams import parser

    from distillm2.stage.arguments import BETA_SCHEDULES, LOSSES, DistillationArguments

    classes = (*parser._TRAIN_ARGS, DistillationArguments)
    assert set(known_arguments()) == {field.name for one in classes for field in fields(one) if field.init}
    assert choices("distill_loss") == tuple(LOSSES)
    assert choices("distill_beta_schedule") == tuple(BETA_SCHEDULES)


def test_a_stage_without_anything_to_do_says_so() -> None:
    from distillm2.stage.workflow import run_distillm2

    with pytest.raises(DistillationError, match="nothing to do: set do_train: true"):
        run_distillm2(None, None, TrainingArguments("unused", use_cpu=True), None, [])
