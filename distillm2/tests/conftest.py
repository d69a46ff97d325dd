"""Models and pairs that the tests train on; everything is made here, nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny student."""
    from tiny_models import make_model

    return make_model(tmp_path_factory.mktemp("models") / "student", seed=1)


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny teacher: wider, and with more rows of padding in its vocabulary."""
    from tiny_models import make_model

    return make_model(tmp_path_factory.mktemp("models") / "teacher", seed=2, hidden=48, vocab=448)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder with the ranking set ``pairs``: 16 prompts with a teacher's and a student's response."""
    from tiny_models import SENTENCES

    folder = tmp_path_factory.mktemp("data")
    rows = [
        {
            "instruction": f"{number}. {SENTENCES[number % 4]}",
            "input": "",
            "chosen": SENTENCES[(number + 1) % 4],
            "rejected": SENTENCES[(number + 2) % 4][: 10 + number],
        }
        for number in range(16)
    ]
    (folder / "pairs.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    columns = {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"}
    entry = {"file_name": "pairs.json", "ranking": True, "columns": columns}
    (folder / "dataset_info.json").write_text(json.dumps({"pairs": entry}), encoding="utf-8")
    return folder
