"""Every file of llamafactory_configs is read by LLaMA-Factory's parser, and runs with tiny models, on the sample sets."""

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
TRAININGS = ("sft_lora", "sft_qlora", "dora", "distillm2_online_4bit", "rerank_lora", "dpo", "distillm2_zero2")
NO_GPU = {"use_cpu": True}
SMALL = {
    "report_to": "none",
    "max_samples": 4,
    "max_steps": 2,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 1,
    "preprocessing_num_workers": None,
    "save_strategy": "no",
}
SECONDS = 280


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
    from tokenizers import trainers

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
        done[f"run {name}"] = {"command": "train", "settings": without(read(name) | NO_GPU | SMALL | own)}
    own = {"model_name_or_path": student, "adapter_name_or_path": adapter}
    predict = own | {"output_dir": str(saves / "eval"), "max_samples": 2, "max_new_tokens": 4}
    predict |= {"preprocessing_num_workers": None}
    done["run eval"] = {"command": "train", "settings": without(read("eval") | NO_GPU | predict)}
    for name in ("merge", "export_gguf"):
        folder = {"export_dir": str(models / name)}
        done[f"run {name}"] = {"command": "export", "settings": read(name) | own | folder}
    folder = {"model_name_or_path": str(models / "merge"), "export_dir": str(models / "bnb4")}
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
