"""``distillm2 plan`` from YAML to table: overrides, what fits, what to change, what is refused."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from plan_cases import DISTILL, planned
from typer.testing import CliRunner, Result

from distillm2.cli import plan as command
from distillm2.cli.cache import cache
from distillm2.cli.settings import read_settings
from distillm2.errors import DistillationError
from distillm2.experiments.plan import GIB, Plan, make_plan, parse_memory
from distillm2.experiments.plan_advice import advise
from distillm2.experiments.plan_find import find_shape, known_models
from distillm2.experiments.plan_settings import Settings, settings_from


@pytest.fixture
def yaml(tmp_path: Path) -> Path:
    file = tmp_path / "x.yaml"
    file.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in DISTILL.items()), encoding="utf-8")
    return file


@pytest.fixture
def run(yaml: Path) -> Callable[..., Result]:
    app = typer.Typer(pretty_exceptions_enable=False)
    command.register(app)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, [str(yaml), *arguments], env={"COLUMNS": "200"})

    return invoke


def row(plan: Plan, name: str) -> float:
    """GiB of the one row of this name."""
    (found,) = [item.bytes for item in plan.rows if item.name == name]
    return found / GIB


def total(result: Result) -> float:
    found = re.search(r"Total at the peak \(.*?\)\s+([\d.]+)", result.stdout)
    assert found, result.stdout
    return float(found[1])


def test_it_fits_and_every_row_counts(run: Callable[..., Result]) -> None:
    result = run("--gpu", "24GB", "--explain")
    assert result.exit_code == 0
    assert "Qwen/Qwen3-1.7B from Qwen/Qwen3-8B" in result.stdout
    for name in (
        "Weights",
        "LoRA",
        "Gradients",
        "Optimizer",
        "Teacher in 4 bits",
        "Loss (chunks)",
        "CUDA context",
        "Free",
    ):
        assert name in result.stdout
    assert "17,432,576 parameters x 4 B" in result.stdout
    plan = planned()
    assert plan.total == sum(item.bytes for item in plan.rows if plan.peak in item.moments or not item.moments)
    assert total(result) == pytest.approx(plan.total / GIB, abs=0.01)
    assert 10 < plan.total / GIB < 14


def test_it_does_not_fit_and_says_what_to_change(run: Callable[..., Result]) -> None:
    result = run("per_device_train_batch_size=8", "disable_gradient_checkpointing=true", "--gpu", "12GB")
    assert result.exit_code == 1
    assert "Missing" in result.stdout
    lines = result.stdout.splitlines()
    order = [next(n for n, line in enumerate(lines) if key in line) for key in ("batch_size=1", "checkpointing=false")]
    assert order == sorted(order)
    assert "gradient_accumulation_steps=8" in result.stdout


def test_overrides_change_the_plan(run: Callable[..., Result]) -> None:
    assert total(run("cutoff_len=4096")) > total(run())
    assert total(run("model_name_or_path=Qwen/Qwen3-4B")) == pytest.approx(total(run()) + 5.2, abs=0.3)
    result = run("cutoff_len", "4096")
    assert isinstance(result.exception, DistillationError)
    assert "cutoff_len is no override: write key=value" in str(result.exception)


def test_the_known_weights() -> None:
    """4-bit weights with their constants, head and embeddings in half precision: 5.66 GiB for 8B."""
    plan = planned()
    assert row(plan, "Teacher in 4 bits") == pytest.approx(5.66, abs=0.01)
    assert row(plan, "Weights") == pytest.approx(1_720_574_976 * 2 / GIB)
    assert row(planned(teacher_quantization_bit=None), "Teacher") == pytest.approx(8_190_735_360 * 2 / GIB)
    assert 7.0 < row(planned(teacher_quantization_bit=8), "Teacher in 8 bits") + 1.2 < 10.0


def test_a_checkpoint_in_fp32_stays_in_fp32() -> None:
    """LLaMA-Factory loads weights as they are stored; google/gemma-2-2b is stored in fp32, the -it in bf16."""
    changes = {"stage": "sft", "flash_attn": "fa2"}
    base, tuned = (
        row(planned(model_name_or_path=f"google/gemma-2-2b{end}", **changes), "Weights") for end in ("", "-it")
    )
    assert base == pytest.approx(2 * tuned)


@pytest.mark.parametrize(
    ("changes", "smaller"),
    [
        ({"teacher_cache": "cache"}, True),
        ({"teacher_model": None, "teacher_adapter": "adapter"}, True),
        ({"quantization_bit": 4}, True),
        ({"lora_rank": 64}, False),
        ({"use_dora": True}, False),
        ({"lora_dropout": 0.1}, False),
        ({"flash_attn": "disabled"}, False),
        ({"disable_gradient_checkpointing": True}, False),
        ({"finetuning_type": "full"}, False),
        ({"teacher_quantization_bit": None}, False),
        ({"per_device_train_batch_size": 4}, False),
        ({"additional_target": "lm_head"}, False),
    ],
)
def test_what_changes_the_total(changes: dict[str, Any], smaller: bool) -> None:
    assert (planned(**changes).total < planned().total) == smaller
    assert planned(**changes).total != planned().total


def test_the_chunk_counts_where_the_loss_is_the_peak() -> None:
    wide, narrow = (planned(distill_chunk_size=size) for size in (2048, 64))
    assert row(wide, "Loss (chunks)") > 8 * row(narrow, "Loss (chunks)")
    assert wide.peak == "loss"


def test_stages() -> None:
    pair = {"per_device_train_batch_size": 1, "teacher_model": None}
    sft, dpo = (planned(stage=stage, **pair) for stage in ("sft", "dpo"))
    logits = 2048 * 151_936
    assert row(sft, "Loss (logits)") == pytest.approx(12 * logits / GIB)
    assert row(dpo, "Loss (logits)") == pytest.approx(16 * 2 * logits / GIB)
    assert row(planned(stage="dpo", pref_loss="simpo", **pair), "Loss (logits)") == pytest.approx(12 * 2 * logits / GIB)
    assert row(planned(stage="sft", enable_liger_kernel=True, **pair), "Loss (logits)") < 0.2
    assert row(planned(stage="dpo", ref_model="Qwen/Qwen3-8B", **pair), "Reference model") > 15


def test_evaluation_has_its_own_batch() -> None:
    plan = planned(stage="sft", teacher_model=None, eval_strategy="epoch")
    assert row(plan, "Evaluation") == pytest.approx(8 * 2048 * 151_936 * 10 / GIB)
    assert plan.peak == "evaluation"
    edits = [change.edit for change in advise(plan.settings)]
    assert edits[0] == "per_device_eval_batch_size=1"


def test_a_caches_k_is_read(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"top_k": 1024}', encoding="utf-8")
    known, guessed = planned(teacher_cache=str(tmp_path)), planned(teacher_cache="nowhere")
    assert row(known, "Teacher's cached batch") > 14 * row(guessed, "Teacher's cached batch")
    default = inspect.signature(cache).parameters["top_k"].default
    assert any(f"k = {default} assumed" in item.formula for item in guessed.rows)


def test_zero_2_shares_gradients_and_states(tmp_path: Path) -> None:
    file = tmp_path / "ds.json"
    zero = {"stage": 2, "overlap_comm": True, "reduce_bucket_size": 100_000_000}
    file.write_text(json.dumps({"zero_optimization": zero}), encoding="utf-8")
    settings = settings_from(DISTILL | {"deepspeed": str(file)}, "x")
    one, four = make_plan(settings), make_plan(settings, gpus=4)
    assert row(four, "Optimizer") == pytest.approx(row(one, "Optimizer") / 4, rel=0.01)
    assert row(four, "ZeRO-2 buckets") == pytest.approx(4e8 / GIB)
    file.write_text(json.dumps({"zero_optimization": {"stage": 3}}), encoding="utf-8")
    with pytest.raises(DistillationError, match="only ZeRO stage 2"):
        settings_from(DISTILL | {"deepspeed": str(file)}, "x")


def test_advice_lowers_the_total_step_by_step() -> None:
    changes = {
        "per_device_train_batch_size": 8,
        "disable_gradient_checkpointing": True,
        "teacher_quantization_bit": None,
    }
    settings = settings_from(DISTILL | changes | {"lora_rank": 256, "distill_chunk_size": 1024}, "x")
    found = list(advise(settings))
    totals = [make_plan(settings).total, *(change.together for change in found)]
    assert totals == sorted(totals, reverse=True)
    assert [change.edit.split("=")[0] for change in found][:4] == [
        "per_device_train_batch_size",
        "disable_gradient_checkpointing",
        "optim",
        "teacher_quantization_bit",
    ]
    alone = replace(settings, disable_gradient_checkpointing=False)
    assert found[1].alone == make_plan(alone).total
    assert found[-1].edit == "cutoff_len=1024"


def test_advice_goes_on_from_an_adapter_to_4_bits() -> None:
    """Full fine-tuning of 4B: only LoRA and then 4 bits fit 8 GB; neither rank nor 4 bits mean anything before LoRA."""
    changes = {"stage": "sft", "teacher_model": None, "model_name_or_path": "Qwen/Qwen3-4B", "finetuning_type": "full"}
    found = {change.edit: change for change in advise(settings_from(DISTILL | changes, "x"))}
    assert found["quantization_bit=4"].together < 8 * GIB < found["finetuning_type=lora"].together
    assert found["quantization_bit=4"].alone is None


def test_a_model_folder_the_hub_cache_and_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dict(known_models()["Qwen/Qwen3-0.6B"])
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert find_shape(str(folder))[0].parameters == 596_049_920
    snapshot = tmp_path / "hub" / "models--Qwen--Qwen3-0.6B" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2}), encoding="utf-8")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc", encoding="utf-8")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    assert find_shape("Qwen/Qwen3-0.6B")[0].layers == 2
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    shape, where = find_shape("Qwen/Qwen3-0.6B")
    assert (shape.layers, where) == (28, "the table of well-known models")


@pytest.mark.parametrize(
    ("text", "size"), [("24GB", 24 * GIB), ("22.5GiB", int(22.5 * GIB)), ("24", 24 * GIB), ("8192MiB", 8 * GIB)]
)
def test_sizes_of_gpus(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("arguments", [["plan", "x.yaml", "--gpu", "8GB"], ["licence", "check", "Qwen/Qwen3-8B"]])
def test_neither_command_loads_torch(yaml: Path, arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "import typer\n"
        "from distillm2.cli import licence, plan\n"
        "app = typer.Typer()\n"
        "plan.register(app)\n"
        "licence.register(app)\n"
        f"app({arguments}, standalone_mode=False)\n"
        "heavy = {'torch', 'transformers', 'llamafactory', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=yaml.parent, capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.returncode == 0, done.stderr


CONFIGS = Path(__file__).parents[2] / "llamafactory_configs"
TRAINABLE = sorted(file for file in CONFIGS.glob("*.yaml") if "do_train: true" in file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", TRAINABLE, ids=lambda file: file.stem)
def test_the_shipped_trainings_fit_24_gib(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONFIGS.parent)
    made = make_plan(settings_from(read_settings([str(file)]), file.name), gpus=2 if "zero2" in file.stem else 1)
    assert isinstance(made.settings, Settings)
    assert 3 * GIB < made.total < 24 * GIB
