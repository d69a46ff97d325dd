"""The comments in llamafactory_configs that account for memory say what `distillm2 plan` says, and fit the GPU."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from distillm2.cli.settings import read_settings
from distillm2.experiments.plan import GIB, make_plan, parse_memory
from distillm2.experiments.plan_settings import settings_from

CONFIGS = Path(__file__).resolve().parents[2] / "llamafactory_configs"
LINE = re.compile(r"^#   (\S.*\S) +(\d+\.\d\d)$", re.MULTILINE)
PLANNED = sorted(path.stem for path in CONFIGS.glob("*.yaml") if LINE.search(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", PLANNED)
def test_the_comment_is_the_plan(name: str) -> None:
    path = CONFIGS / f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    *parts, (label, total) = LINE.findall(text)
    made = make_plan(settings_from(read_settings([str(path)]), str(path)), gpus=2 if "deepspeed:" in text else 1)
    assert label == "total"
    assert float(total) == pytest.approx(made.total / GIB, abs=0.05)
    assert sum(float(figure) for _, figure in parts) == pytest.approx(float(total), abs=0.05)
    assert made.total < parse_memory("24GB")


def test_every_training_accounts_for_its_memory() -> None:
    trainings = [path.stem for path in CONFIGS.glob("*.yaml") if "do_train: true" in path.read_text(encoding="utf-8")]
    assert sorted(trainings) == PLANNED
