"""The week of docs/training.md holds together: what a command reads, an earlier one wrote, for the same base."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from distillm2.cli.settings import read_settings
from distillm2.experiments.plan import make_plan, parse_memory
from distillm2.experiments.plan_settings import settings_from

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass
class Week:
    """What there is so far: adapters with their bases, models and data sets, responses, and what is served."""

    models: set[str] = field(default_factory=lambda: {"Qwen/Qwen3-1.7B", "Qwen/Qwen3-4B", "Qwen/Qwen3-8B"})
    adapters: dict[str, str] = field(default_factory=dict)
    sets: set[str] = field(default_factory=set)
    responses: set[str] = field(default_factory=set)
    served: dict[str, str] = field(default_factory=dict)
    loaded: dict[str, str] = field(default_factory=dict)

    def run(self, words: list[str]) -> None:
        """One command; assertions where it would not find what it reads."""
        flags = dict(pairwise(words))
        match words:
            case ["distillm2", "train" | "cache" | "export" as command, file, *overrides]:
                self.use(command, read_settings([str(ROOT / file), *overrides]))
            case ["distillm2", "generate", *_]:
                assert flags["--model"] in self.served, flags
                assert flags["--output"] not in self.responses, f"{flags['--output']} is answered already"
                self.responses.add(flags["--output"])
            case ["distillm2", "pairs", *_]:
                assert {flags["--teacher"], flags["--student"]} <= self.responses
                self.sets |= {flags["--name"], f"{flags['--name']}_validation"}
            case ["python", "-m", "evaluation.rerank_pairs", *_]:
                self.sets |= {flags["--name"], f"{flags['--name']}_validation"}
            case ["vllm", "serve", model, *_] | [_, "vllm", "serve", model, *_]:
                assert model in self.models, f"{model} is served before it is there"
                assert flags.get("--generation-config") == "vllm", f"{model} samples in its own way"
                self.served[flags["--served-model-name"]] = model
            case ["load", name, folder]:
                assert self.adapters[folder] == self.served["student"], f"{folder} is for another base than is served"
                self.loaded[name] = folder

    def use(self, command: str, settings: dict[str, Any]) -> None:
        """Train, cache, evaluate or merge."""
        base, adapter = settings["model_name_or_path"], settings.get("adapter_name_or_path")
        assert base in self.models, f"{base} is not there yet"
        assert adapter is None or self.adapters[adapter] == base, f"{adapter} is for another base than {base}"
        if command == "export":
            self.models.add(settings["export_dir"])
            return
        trained, held_out = ((settings.get(key) or "").split(",") for key in ("dataset", "eval_dataset"))
        assert held_out != [""]
        assert not set(trained) & set(held_out)
        if settings["dataset_dir"] == "data":
            assert {name for name in (*trained, *held_out) if name} <= self.sets
        if settings.get("do_train"):
            assert settings["eval_strategy"] == "epoch"
            planned = settings | ({} if "/Qwen3-" in base else {"model_name_or_path": "Qwen/Qwen3-1.7B"})
            assert make_plan(settings_from(planned, base)).total < parse_memory("24GB"), settings["output_dir"]
        if command == "train" and settings.get("do_train"):
            assert settings["output_dir"] not in self.adapters, "it would go on from the earlier training's checkpoint"
            self.adapters[settings["output_dir"]] = base


def commands(text: str) -> Iterator[list[str] | set[str]]:
    """The words of every command, with its variables; the keys of every JSON block."""
    variables: dict[str, str] = {}
    for language, block in BLOCK.findall(text):
        if language == "json":
            yield set(json.loads(f"{{{block}}}"))
        for line in [] if language else block.replace("\\\n", " ").splitlines():
            known = re.sub(r"\$([A-Z_]+)", lambda found: variables.get(found[1], found[0]), line)
            words = shlex.split(known, comments=True)
            if len(words) == 1 and (assigned := re.fullmatch(r"([A-Z_]+)=(.*)", words[0])):
                variables[assigned[1]] = assigned[2]
            elif words:
                yield words


@pytest.mark.parametrize("page", ["training.md", "training.ko.md"])
def test_every_step_finds_what_it_needs(page: str) -> None:
    week = Week()
    for command in commands((ROOT / "docs" / page).read_text(encoding="utf-8")):
        if isinstance(command, set):
            week.sets |= command
        else:
            week.run(command)
    assert set(week.loaded) == {"student-answer", "student-rerank"}
    for name in ("quantise_bnb", "quantise_gptq", "export_gguf"):
        week.use("export", read_settings([str(ROOT / "llamafactory_configs" / f"{name}.yaml")]))
    recipe = (ROOT / "llamafactory_configs" / "quantise_awq.yaml").read_text(encoding="utf-8")
    (quantised,) = re.findall(r"quantise_awq.py (\S+)", recipe)
    assert quantised in week.models
    assert quantised == read_settings([str(ROOT / "llamafactory_configs" / "quantise_bnb.yaml")])["model_name_or_path"]


def test_both_pages_have_the_same_commands() -> None:
    english, korean = ((ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("training.md", "training.ko.md"))
    assert list(commands(english)) == list(commands(korean))
