"""The sample training sets are what samples/training/build.py makes, and true to the product's prompts and checks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmflow.generation.phrases import ABSTENTION, Language

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "samples" / "training"
LANGUAGES: tuple[Language, ...] = ("ko", "en")
MOST_BYTES = 400_000


def rows(name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def asked(language: Language, split: str) -> list[dict[str, Any]]:
    lines = (FOLDER / f"questions_{language}.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["split"] == split]


def question(row: dict[str, str]) -> str:
    return row["instruction"].rpartition("\n\n")[2].partition("\n")[0].partition(": ")[2]


def test_they_are_built_again_the_same(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text('{"ours": {"file_name": "ours.json"}}', encoding="utf-8")
    done = subprocess.run(
        [sys.executable, FOLDER / "build.py", tmp_path], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    info = json.loads((tmp_path / "dataset_info.json").read_text(encoding="utf-8"))
    assert info.pop("ours") == {"file_name": "ours.json"}
    assert info == json.loads((ROOT / "dataset_info.json").read_text(encoding="utf-8"))
    for entry in info.values():
        assert (tmp_path / entry["file_name"]).read_bytes() == (ROOT / entry["file_name"]).read_bytes(), entry
    assert sum(path.stat().st_size for path in FOLDER.glob("*.json")) < MOST_BYTES


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_question_and_no_fact_is_in_both_splits(language: Language) -> None:
    train, held_out = asked(language, "train"), asked(language, "eval")
    assert not {row["question"] for row in train} & {row["question"] for row in held_out}
    facts = [{part["evidence"] for row in split for part in row["answer"]} for split in (train, held_out)]
    assert not facts[0] & facts[1]
    for kind in ("answers", "pairs", "rerank"):
        both = [{question(row) for row in rows(f"{kind}_{language}{suffix}")} for suffix in ("", "_eval")]
        assert not both[0] & both[1]
        assert both[1] <= {row["question"] for row in held_out}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("suffix", ["", "_eval"])
def test_answers_cite_or_abstain(language: Language, suffix: str) -> None:
    found = rows(f"answers_{language}{suffix}")
    abstained = [row for row in found if row["output"] == ABSTENTION[language]]
    assert 0 < len(abstained) < len(found) / 4
    for row in found:
        assert row["output"] == ABSTENTION[language] or row["output"].endswith("]")
        assert ABSTENTION[language] in row["system"]
        assert row["input"] == ""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("suffix", ["", "_eval"])
def test_pairs_differ_and_their_better_half_is_the_answer(language: Language, suffix: str) -> None:
    answers = {row["instruction"]: row["output"] for row in rows(f"answers_{language}{suffix}")}
    for row in rows(f"pairs_{language}{suffix}"):
        assert row["chosen"] == answers[row["instruction"]]
        assert row["rejected"] != row["chosen"]
