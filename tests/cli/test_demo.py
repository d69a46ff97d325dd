"""`make demo`, from a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("demo")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LLMFLOW_", "COLUMNS"))}
    ran = subprocess.run(
        [sys.executable, SAMPLES / "demo.py"],
        capture_output=True, text=True, encoding="utf-8", cwd=folder, env=environment | {"PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    return ran.stdout


def test_every_question_is_answered_as_expected(shown: str) -> None:
    expected = {}
    for line in (SAMPLES / "questions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        expected[row["question"]] = row
    parts = shown.split("Q  ")[1:]
    assert len(parts) == 6
    known = 0
    for part in parts:
        question, _, answer = part.partition("\n")
        if row := expected.get(question.strip()):
            known += 1
            wanted = row["answer_contains"] or ["근거를 찾지 못했습니다"]
            assert any(text in answer for text in wanted), question
            if row["source"]:
                assert f"[1] {row['source']}" + (f" p.{row['page']}" if row["page"] else "") in answer
    assert known == 5
    assert parts[2].count("국외에서는 재택근무를 할 수 없다") >= 1  # the other wording finds the same sentence


def test_output_is_a_plain_log_of_100_columns(shown: str) -> None:
    assert not any(character < " " and character != "\n" for character in shown)
    for name in ("휴가규정.pdf", "IT장비_단가표.xlsx", "it_security_faq.md"):
        assert f" {name} " in shown
    assert "[PHONE_NUMBER]" in shown
    assert "Rank (score) in every stage" in shown
    assert "llmflow doctor" in shown
