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
    assert float(total) == pytest.approx(made.total / GIB, rel=0.05)
    assert sum(float(figure) for _, figure in parts) == pytest.approx(float(total), abs=0.05)
    assert made.total < parse_memory("24GB")


@pytest.mark.parametrize("page", ["training.md", "training.ko.md"])
def test_the_page_has_every_file_with_the_figures_of_its_comment(page: str) -> None:
    table = (CONFIGS.parent / "docs" / page).read_text(encoding="utf-8")
    for name in PLANNED:
        _, total = LINE.findall((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))[-1]
        assert re.search(rf"^\| `{name}` \|.*\| {float(total):.1f} \|$", table, re.MULTILINE), f"{name}: {total}"
    for path in CONFIGS.iterdir():
        assert f"`{path.stem}" in table, path.name


def test_every_training_accounts_for_its_memory() -> None:
    trainings = [path.stem for path in CONFIGS.glob("*.yaml") if "do_train: true" in path.read_text(encoding="utf-8")]
    assert sorted(trainings) == PLANNED


def test_the_deepspeed_file_is_zero_2_and_leaves_the_rest_to_the_trainer() -> None:
    from accelerate.utils.deepspeed import HfDeepSpeedConfig

    settings = read_settings([str(CONFIGS / "distillm2_zero2.yaml")])
    config = HfDeepSpeedConfig(str(CONFIGS.parent / settings["deepspeed"]))
    assert config.is_zero2()
    assert not config.is_offload()
    assert config.get_value("train_micro_batch_size_per_gpu") == "auto"
    assert config.get_value("bf16.enabled") == "auto"
