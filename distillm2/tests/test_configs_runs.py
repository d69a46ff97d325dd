"""LLaMA-Factory reads every file of llamafactory_configs, and each runs with tiny models on the sample sets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "llamafactory_configs"
RECIPES = {"quantise_awq"}
"""Not for LLaMA-Factory: a recipe of llm-compressor."""
TRAININGS = (
    "sft_lora",
    "sft_qlora",
    "dora",
    "distillm2_online_4bit",
    "distillm2_offline",
    "distillm2_zero2",
    "rerank_lora",
    "dpo",
)
NO_GPU = {"use_cpu": True}
"""The one key that a machine without a GPU needs: bf16 and 4 bits work there too. ``deepspeed`` is left out."""
SMALL = {
    "report_to": "none",
    "max_samples": 4,
    "max_steps": 2,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 1,
    "preprocessing_num_workers": None,
    "save_strategy": "no",
}
SECONDS = 600


def read(name: str) -> dict[str, Any]:
    """The settings of ``name``.yaml."""
    settings: dict[str, Any] = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))
    return settings


def names() -> list[str]:
    """Every file that is for LLaMA-Factory."""
    return sorted({path.stem for path in CONFIGS.glob("*.yaml")} - RECIPES)


def without(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without those of value None, and without what a machine without a GPU cannot have installed."""
    return {key: value for key, value in settings.items() if value is not None and key != "deepspeed"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny ``student`` and ``teacher`` whose tokenizer was trained on the sample sets."""
    from tiny_models import make_model, make_tokenizer

    folder = tmp_path_factory.mktemp("configs")
    files = sorted((ROOT / "samples" / "training").glob("*.json"))
    texts = [text for file in files for row in json.loads(file.read_text(encoding="utf-8")) for text in row.values()]
    tokenizer = make_tokenizer()
    special = list(tokenizer.get_added_vocab())
    trained = tokenizer.train_new_from_iterator(texts, vocab_size=2000, new_special_tokens=special)
    for name, seed, vocab in (("student", 1, 2016), ("teacher", 2, 2048)):
        trained.save_pretrained(make_model(folder / name, seed=seed, hidden=64, vocab=vocab))
    return folder


def jobs(models: Path) -> dict[str, Any]:
    """What the worker is to do, in an order in which each finds what it needs."""
    student, teacher, saves = str(models / "student"), str(models / "teacher"), models / "saves"
    adapter = str(saves / "sft_lora")
    done: dict[str, Any] = {}
    for name in names():
        settings = read(name)
        if "export_dir" in settings:
            done[f"parse {name}"] = {"command": "parse_export", "settings": settings}
        else:
            done[f"parse {name}"] = {"command": "parse", "settings": without(settings | NO_GPU)}
    for name in TRAININGS:
        own = {"model_name_or_path": student, "output_dir": str(saves / name)}
        own |= {"teacher_model": teacher} if "teacher_model" in read(name) else {}
        own |= {"teacher_cache": str(saves / "cache")} if "teacher_cache" in read(name) else {}
        settings = without(read(name) | NO_GPU | SMALL | own)
        if "teacher_cache" in settings:
            done[f"cache {name}"] = {"command": "cache", "settings": settings}
        done[f"run {name}"] = {"command": "train", "settings": settings}
    own = {"model_name_or_path": student, "adapter_name_or_path": adapter}
    predict = own | {"output_dir": str(saves / "eval"), "max_samples": 2, "max_new_tokens": 4}
    predict |= {"preprocessing_num_workers": None}
    done["run eval"] = {"command": "train", "settings": without(read("eval") | NO_GPU | predict)}
    for name in ("merge", "export_gguf"):
        folder = {"export_dir": str(models / name)}
        done[f"run {name}"] = {"command": "export", "settings": read(name) | own | folder}
    folder = {"model_name_or_path": str(models / "merge"), "export_dir": str(models / "bnb4")}
    own = {"model_name_or_path": student, "output_dir": str(models / "prompt"), "max_samples": 1}
    own |= {"preprocessing_num_workers": None}
    done["prompt"] = {"command": "prompt", "settings": without(read("rerank_lora") | NO_GPU | own)}
    done["run quantise_bnb"] = {"command": "export", "settings": read("quantise_bnb") | folder}
    return done


@pytest.fixture(scope="module")
def results(models: Path) -> dict[str, str | None]:
    """What became of each job: None, or a traceback."""
    (models / "jobs.json").write_text(json.dumps(jobs(models)), encoding="utf-8")
    worker = Path(__file__).with_name("configs_worker.py")
    done = subprocess.run(
        [sys.executable, worker, models / "jobs.json", models / "results.json"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, str | None] = json.loads((models / "results.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", names())
def test_it_loads_in_the_parser(results: dict[str, str | None], name: str) -> None:
    assert results[f"parse {name}"] is None, results[f"parse {name}"]


@pytest.mark.parametrize("name", TRAININGS)
def test_a_tiny_model_trains_with_it(results: dict[str, str | None], models: Path, name: str) -> None:
    assert results[f"run {name}"] is None, results[f"run {name}"]
    folder = models / "saves" / name
    log = [json.loads(line) for line in (folder / "trainer_log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["current_steps"] for line in log if "loss" in line] == [1, 2]
    adapter = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    wanted = read(name)
    assert (adapter["r"], adapter["lora_alpha"]) == (wanted["lora_rank"], wanted["lora_alpha"])
    assert adapter["use_dora"] == wanted.get("use_dora", False)
    held_out = json.loads((folder / "eval_results.json").read_text(encoding="utf-8"))
    assert held_out["eval_kl" if wanted["stage"] == "distillm2" else "eval_loss"] > 0


def test_the_student_learns_the_label_where_llmflow_asks_for_it(results: dict[str, str | None], models: Path) -> None:
    assert results["prompt"] is None, results["prompt"]
    row = json.loads((models / "prompt" / "row.json").read_text(encoding="utf-8"))
    first = json.loads((ROOT / "samples" / "training" / "rerank_ko.json").read_text(encoding="utf-8"))[0]
    turns = {"system": first["system"], "user": first["instruction"]}
    # Qwen3's chat template with enable_thinking: false, in which LLMFlow asks.
    asked = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns.items())
    assert row["prompt"] == f"{asked}<|im_start|>assistant\n<think>\n\n</think>\n\n"
    assert row["learnt"] == f"{first['output']}<|im_end|>\n"


def test_the_teacher_stays_on_disk_when_its_cache_is_named(results: dict[str, str | None], models: Path) -> None:
    assert results["cache distillm2_offline"] is None, results["cache distillm2_offline"]
    log = (models / "saves" / "distillm2_offline" / "distill_log.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [line for line in map(json.loads, log) if "loss" in line]
    assert [line["distill/skl"] > 0 for line in steps] == [True, True]


def test_a_finished_adapter_is_evaluated(results: dict[str, str | None], models: Path) -> None:
    assert results["run eval"] is None, results["run eval"]
    scores = json.loads((models / "saves" / "eval" / "predict_results.json").read_text(encoding="utf-8"))
    assert {"predict_rouge-l", "predict_bleu-4"} <= scores.keys()
    lines = (models / "saves" / "eval" / "generated_predictions.jsonl").read_text(encoding="utf-8").splitlines()
    held_out = {
        row["output"]
        for language in ("ko", "en")
        for row in json.loads((ROOT / "samples" / "training" / f"answers_{language}_eval.json").read_text("utf-8"))
    }
    assert len(lines) == 4
    assert {json.loads(line)["label"].strip() for line in lines} <= held_out


@pytest.mark.parametrize("name", ["merge", "export_gguf"])
def test_a_merged_model_holds_the_adapter(results: dict[str, str | None], models: Path, name: str) -> None:
    from safetensors.torch import load_file

    assert results[f"run {name}"] is None, results[f"run {name}"]
    layer = "model.layers.0.self_attn.q_proj"
    before = load_file(models / "student" / "model.safetensors")[f"{layer}.weight"]
    after = load_file(models / name / "model.safetensors")[f"{layer}.weight"]
    adapter = load_file(models / "saves" / "sft_lora" / "adapter_model.safetensors")
    down, up = (adapter[f"base_model.model.{layer}.lora_{part}.weight"] for part in "AB")
    change = (up @ down) * read("sft_lora")["lora_alpha"] / read("sft_lora")["lora_rank"]
    assert change.abs().max() > 0
    assert (after.float() - before - change).abs().max() < 2**-8 * before.abs().max()
    assert str(after.dtype) == "torch.bfloat16"


def test_a_model_in_four_bits_is_smaller(results: dict[str, str | None], models: Path) -> None:
    assert results["run quantise_bnb"] is None, results["run quantise_bnb"]
    config = json.loads((models / "bnb4" / "config.json").read_text(encoding="utf-8"))["quantization_config"]
    assert (config["load_in_4bit"], config["bnb_4bit_quant_type"]) == (True, "nf4")
    sizes = [(models / name / "model.safetensors").stat().st_size for name in ("merge", "bnb4")]
    assert sizes[1] < sizes[0]
