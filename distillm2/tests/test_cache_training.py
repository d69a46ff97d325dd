"""Training from a cache alone: with all tokens kept it is the online training, and what does not fit is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file
from training_runs import training_environment, training_settings

ALL_TOKENS = 416


@dataclass(frozen=True)
class Runs:
    """The folder that all runs wrote into, what each command was refused with, and all that was printed."""

    folder: Path
    refusals: dict[str, str]
    output: str

    def losses(self, name: str) -> list[dict[str, Any]]:
        lines = (self.folder / name / "distill_log.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, student: Path, teacher: Path, pairs: Path) -> Runs:
    """Caches of all and of 32 tokens, then trainings online, from each cache and with what does not fit."""
    folder = tmp_path_factory.mktemp("cache_training")
    own_teacher = folder / "teacher"
    shutil.copytree(teacher, own_teacher)
    online, offline = folder / "online.yaml", folder / "offline.yaml"
    settings = training_settings(student, pairs, folder / "online", own_teacher)
    online.write_text(yaml.safe_dump(settings))
    settings = training_settings(student, pairs, folder / "offline", val_size=0.25, eval_strategy="steps", eval_steps=3)
    offline.write_text(yaml.safe_dump(settings))
    everything, few = f"teacher_cache={folder / 'everything'}", f"teacher_cache={folder / 'few'}"
    split = ["val_size=0.25", "eval_strategy=steps", "eval_steps=3"]
    cache_all = ["--output", str(folder / "everything"), "--top-k", str(ALL_TOKENS), "--precision", "float32"]
    commands = {
        "no folder": ["cache", str(online)],
        "output is a file": ["cache", str(online), "--output", str(online), "teacher_model=nowhere"],
        "no teacher there": ["cache", str(online), few, f"teacher_model={folder / 'nowhere'}"],
        "cache everything": ["cache", str(online), *cache_all, "--batch-size", "3"],
        "cache few": ["cache", str(online), few, "--top-k", "32"],
        "info": ["cache-info", str(folder / "few")],
        "online": ["train", str(online), *split],
        "offline": ["train", str(offline), everything],
        "few": ["train", str(offline), few, f"teacher_model={own_teacher}", f"output_dir={folder / 'from_few'}"],
        "other template": ["train", str(offline), few, "template=default", f"output_dir={folder / 'refused'}"],
        "temperature": ["train", str(offline), few, "distill_temperature=2.0", f"output_dir={folder / 'refused'}"],
    }
    plan = folder / "plan.json"
    plan.write_text(json.dumps({"hide": str(own_teacher), "commands": list(commands.values())}))
    process = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("cache_training_process.py")), str(plan)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
        env=training_environment(),
        check=False,
    )
    results = [json.loads(line[7:]) for line in process.stdout.splitlines() if line.startswith("RESULT ")]
    assert process.returncode == 0, process.stdout[-6000:]
    return Runs(folder, dict(zip(commands, results, strict=True)), process.stdout)


def test_what_fits_is_carried_out(runs: Runs) -> None:
    done = ("cache everything", "cache few", "info", "online", "offline", "few")
    assert [runs.refusals[name] for name in done] == [""] * len(done)


def test_a_cache_of_all_tokens_trains_like_the_teacher_itself(runs: Runs) -> None:
    online, offline = runs.losses("online"), runs.losses("offline")
    assert len(online) == len(offline) == 6 + 3
    assert sum("distill/srkl" in line for line in offline) == 6
    assert sum("eval_loss" in line for line in offline) == 3
    for ours, theirs in zip(offline, online, strict=True):
        assert ours.keys() == theirs.keys()
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6)
    ours, theirs = (load_file(runs.folder / name / "adapter_model.safetensors") for name in ("offline", "online"))
    assert ours.keys() == theirs.keys()
    assert max((ours[name] - theirs[name]).abs().max().item() for name in ours) < 1e-4


def test_a_small_cache_trains_to_nearly_the_same(runs: Runs) -> None:
    online, few = runs.losses("online"), runs.losses("from_few")
    assert few[0]["distill/gap_teacher"] == pytest.approx(online[0]["distill/gap_teacher"], abs=1e-6)
    assert 0.5 * online[0]["distill/skl"] < few[0]["distill/skl"] < online[0]["distill/skl"]
    assert few[2]["loss"] < few[0]["loss"]


def test_no_teacher_was_there(runs: Runs) -> None:
    assert not (runs.folder / "teacher").exists()
    assert "offline teacher" in runs.output
    assert runs.output.count("teacher_cache is set: teacher_model is not loaded.") == 1


def test_the_table_shows_what_the_cache_holds(runs: Runs) -> None:
    for shown in ("32 of 416 tokens, float16", "rows", "complete", "bytes a token", "mean tail mass", "qwen, 256"):
        assert shown in runs.output


def test_what_does_not_fit_is_refused_before_training(runs: Runs) -> None:
    assert "give --output DIR, or set `teacher_cache`" in runs.refusals["no folder"]
    assert "online.yaml is a file: give a folder as --output" in runs.refusals["output is a file"]
    assert "nowhere could not be loaded: " in runs.refusals["no teacher there"]
    assert "Failed to load tokenizer" not in runs.refusals["no teacher there"]
    assert "32 of the 32 rows" in runs.refusals["other template"]
    assert "template qwen, cutoff_len 256; this run has template default" in runs.refusals["other template"]
    assert "distill_temperature is 2" in runs.refusals["temperature"]
    assert not list((runs.folder / "refused").glob("*.safetensors"))
