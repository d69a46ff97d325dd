"""What ``distillm2 plan`` refuses, and what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from plan_cases import planned

from distillm2.cli.settings import read_file
from distillm2.errors import DistillationError
from distillm2.experiments.plan import make_plan, parse_memory
from distillm2.experiments.plan_find import find_shape
from distillm2.experiments.plan_settings import settings_from

CONFIGS = Path(__file__).parents[2] / "llamafactory_configs"


def test_a_name_without_its_suffix_is_no_flag(tmp_path: Path) -> None:
    yaml = tmp_path / "x.yaml"
    yaml.touch()
    with pytest.raises(DistillationError, match=r"There is no file .*/x\. Give a YAML"):
        read_file(yaml.with_suffix(""))
    yaml.rename(yaml.with_suffix(".txt"))
    with pytest.raises(DistillationError, match=r"x\.txt is no YAML"):
        read_file(yaml.with_suffix(".txt"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "qwen3_moe", "num_experts": 128}, "mixture-of-experts"),
        ({"model_type": "gemma3", "text_config": {}}, "text with images"),
        ({"model_type": "mamba"}, "known types: exaone4"),
        ({"model_type": "qwen3", "vocab_size": "many"}, "a positive whole number"),
        ({}, "model_type None"),
        ("not an object", "must hold a JSON object"),
    ],
)
def test_models_that_cannot_be_planned(tmp_path: Path, config: Any, message: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(DistillationError, match=message):
        find_shape(str(tmp_path))


def test_unknown_and_broken_models(tmp_path: Path) -> None:
    with pytest.raises(DistillationError, match=r"Nothing is known of .*Qwen/Qwen3-1\.7B"):
        find_shape("Qwen/Qwen3-1.7")
    with pytest.raises(DistillationError, match=r"has no config\.json"):
        find_shape(str(tmp_path))
    (tmp_path / "config.json").write_text("{\n  broken", encoding="utf-8")
    with pytest.raises(DistillationError, match=r"config\.json, line 2"):
        find_shape(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage": "ppo"}, "allowed: sft, pt, dpo, distillm2"),
        ({"cutoff_len": "long"}, "cutoff_len is 'long'"),
        ({"cutoff_len": 0}, "at least 1"),
        ({"bf16": "yes"}, "true or false"),
        ({"quantization_bit": 3}, "4, 8 or none"),
        ({"lora_target": "q_proj,nose"}, "nose is not among"),
        ({"optim": "adamw"}, "known: adamw_torch"),
        ({"model_name_or_path": None}, "names no model_name_or_path"),
        ({"do_train": False}, "trains nothing"),
        ({"cutof_len": 9999}, "cutof_len is no argument of a training; did you mean cutoff_len"),
        ({"distill_alfa": 0.2}, "did you mean distill_alpha"),
        ({"fsdp": "full_shard"}, "the memory of fsdp is not known"),
        ({"fsdp_config": "x.json"}, "the memory of fsdp_config is not known"),
        ({"use_galore": True}, "use_galore is not known"),
        ({"quantization_method": "hqq"}, "bnb is"),
        ({"teacher_model": None}, "needs teacher_model"),
        ({"deepspeed": "nowhere.json"}, "no file here"),
    ],
)
def test_settings_that_cannot_be_planned(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DistillationError, match=message):
        planned(**changes)


@pytest.mark.parametrize("text", ["", "big", "-1GB", "0GB", "24TB"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(DistillationError, match="no size of memory"):
        parse_memory(text)


@pytest.mark.parametrize(
    ("name", "reason"), [("eval", "do_predict"), ("merge", "export_dir"), ("export_gguf", "export_dir")]
)
def test_files_that_train_nothing_are_refused(name: str, reason: str) -> None:
    with pytest.raises(DistillationError, match=f"sets {reason}; a plan is made for a training"):
        settings_from(read_file(CONFIGS / f"{name}.yaml"), name)


def test_the_readmes_example_trains(tmp_path: Path) -> None:
    (block,) = re.findall(
        r"```yaml\n(.*?)```", (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8"), re.S
    )
    (tmp_path / "x.yaml").write_text(block, encoding="utf-8")
    assert make_plan(settings_from(read_file(tmp_path / "x.yaml"), "README")).settings.stage == "distillm2"
