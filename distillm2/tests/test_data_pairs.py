"""Joining responses to pairs: drops are counted, splits do not leak."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from pairs_building import build, row

from distillm2.data.near import near_groups
from distillm2.errors import DistillationError

WORDS = ["연차", "출장", "정산", "승인", "보고", "계약", "예산", "회의", "교육", "보안", "점검", "구매", "채용", "급여"]


def sentence(number: int) -> str:
    return " ".join(random.Random(number).sample(WORDS, 8))


def read(folder: Path, name: str = "mine") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((folder / "data" / f"{name}.json").read_text(encoding="utf-8"))
    return rows


def stems(folder: Path, name: str) -> set[str]:
    return {pair["instruction"].strip(" ?!") for pair in read(folder, name)}


def test_every_row_is_either_out_or_counted(tmp_path: Path) -> None:
    key = itertools.count()
    teacher = [
        row("좋은 질문", "스승의 답"),
        row("빈 답", " \n"),
        row("빈 학생", "답"),
        row("잘린 답", "답", truncated=True),
        row("잘린 학생", "답"),
        row("학생 없음", "답"),
        row("같은 답", "같다"),
    ]
    student = [
        row("좋은 질문", "제자의 답"),
        row("빈 답", "답"),
        row("빈 학생", ""),
        row("잘린 답", "답"),
        row("잘린 학생", "답", truncated=True),
        row("같은 답", " 같다"),
        row("스승 없음", "답"),
        row("스승 둘 없음", "답"),
    ]
    for one in (*teacher, *student):
        one |= {"key": str(next(key)), "sample": 0}
    student.append({"key": "failed", "prompt": "실패", "sample": 0, "error": "HTTP 500"})
    report = build(tmp_path, [{"settings": {"model": "teacher"}}, *teacher], student, validation=0)
    assert report.dropped == {
        "no student response": 1,
        "no teacher response": 2,
        "empty teacher response": 1,
        "empty student response": 1,
        "truncated teacher response": 1,
        "truncated student response": 1,
    }
    assert (report.teacher_responses, report.student_responses, report.joined) == (7, 8, 6)
    assert report.failed == {"teacher": 0, "student": 1}
    assert (report.splits, report.identical_kept) == ({"mine": 2, "mine_validation": 0}, 1)
    assert read(tmp_path) == [
        {"instruction": "좋은 질문", "input": "", "chosen": "스승의 답", "rejected": "제자의 답"},
        {"instruction": "같은 답", "input": "", "chosen": "같다", "rejected": " 같다"},
    ]
    assert json.loads((tmp_path / "data" / "mine.report.json").read_text(encoding="utf-8"))["joined"] == 6


def test_identical_responses_are_dropped_on_request(tmp_path: Path) -> None:
    rows = [row("하나", "같다"), row("둘", "다르다")]
    report = build(tmp_path, rows, [row("하나", "같다"), row("둘", "틀리다")], validation=0, drop_identical=True)
    assert report.dropped == {"identical responses": 1}
    assert [pair["instruction"] for pair in read(tmp_path)] == ["둘"]


def test_samples_are_joined_one_to_one_and_repetitions_dropped(tmp_path: Path) -> None:
    teacher = [row("질문", f"답 {sample}", sample=sample) for sample in (0, 1, 2)]
    student = [row("질문 ", f"제자 {sample}", sample=sample) for sample in (2, 0, 1)]
    report = build(tmp_path, [*teacher, row("  질문", "다른 답", sample=0)], student, validation=0)
    assert [(pair["chosen"], pair["rejected"]) for pair in read(tmp_path)] == [
        (f"답 {sample}", f"제자 {sample}") for sample in (0, 1, 2)
    ]
    assert report.dropped == {"repeated prompt": 1}
    report = build(tmp_path, [row("질문", "답")] * 3, [row("질문", "제자")] * 3, validation=0)
    assert (report.splits["mine"], report.dropped) == (1, {"repeated pair": 2})


def test_system_and_history_have_their_columns(tmp_path: Path) -> None:
    turns = [("system", "짧게"), ("user", "하나"), ("assistant", "첫 답"), ("user", "둘")]
    messages = [{"role": role, "content": text} for role, text in turns]
    teacher = [{"messages": messages, "response": "답"}, row("셋", "답")]
    build(tmp_path, teacher, [{"messages": messages, "response": "제자"}, row("셋", "제자")], validation=0)
    assert [(pair["system"], pair["history"]) for pair in read(tmp_path)] == [("짧게", [["하나", "첫 답"]]), ("", [])]
    info = json.loads((tmp_path / "data" / "dataset_info.json").read_text())
    assert info["mine"]["ranking"] is True
    assert {"system", "history"} <= info["mine"]["columns"].keys()


def test_near_duplicates_and_samples_stay_in_one_split(tmp_path: Path) -> None:
    prompts = [f"{sentence(number)}{mark}" for number in range(100) for mark in ("", "?", " !!")]
    teacher = [row(prompt, f"답 {number}") for number, prompt in enumerate(prompts)]
    student = [row(prompt, f"제자 {number}") for number, prompt in enumerate(prompts)]
    report = build(tmp_path, teacher, student, validation=0.2)
    assert report.prompt_groups == 100
    assert report.splits == {"mine": 240, "mine_validation": 60}
    trained, held_out = stems(tmp_path, "mine"), stems(tmp_path, "mine_validation")
    assert not trained & held_out
    # New responses of the student, fewer of them and in another order, do not move a prompt.
    random.Random(1).shuffle(student)
    build(tmp_path, teacher, student[:150], validation=0.2)
    assert stems(tmp_path, "mine_validation") <= held_out
    assert not stems(tmp_path, "mine") & held_out
    build(tmp_path, teacher, student, validation=0.2, seed=7)
    assert stems(tmp_path, "mine_validation") != held_out


def test_a_group_that_is_too_large_is_not_held_out_and_this_is_said(tmp_path: Path) -> None:
    prompts = ["같은 질문입니다" + "?" * number for number in range(10)]
    both = [[row(prompt, f"{who} {prompt}") for prompt in prompts] for who in ("스승", "제자")]
    report = build(tmp_path, *both, validation=0.2)
    assert report.splits == {"mine": 10, "mine_validation": 0}
    assert any("No validation split" in warning for warning in report.warnings)


def test_no_stale_validation_split_remains(tmp_path: Path) -> None:
    both = [[row(sentence(number), f"{who} {number}") for number in range(20)] for who in ("스승", "제자")]
    assert build(tmp_path, *both, validation=0.2).splits["mine_validation"] == 4
    assert build(tmp_path, *both, validation=0).splits == {"mine": 20, "mine_validation": 0}
    assert not (tmp_path / "data" / "mine_validation.json").exists()
    assert list(json.loads((tmp_path / "data" / "dataset_info.json").read_text())) == ["mine"]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"validation": 1.0}, "validation 1.0"), ({"near_duplicate": 0.0}, "near-duplicate 0.0")],
)
def test_bad_options_are_refused(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(DistillationError, match=said):
        build(tmp_path, [row("질문", "답")], [row("질문", "제자")], **options)


def test_no_pair_left_says_why(tmp_path: Path) -> None:
    with pytest.raises(DistillationError, match="No pair is left of 1 joined ones; dropped: 1 empty student response"):
        build(tmp_path, [row("질문", "답")], [row("질문", "")])
    with pytest.raises(DistillationError, match=r"t\.jsonl:1: no text under 'response'"):
        build(tmp_path, [{"prompt": "질문"}], [row("질문", "답")])
    with pytest.raises(DistillationError, match=r"t\.jsonl:1: .*surrogates not allowed"):
        build(tmp_path, [row("질문", "\ud83d")], [row("질문", "답")])
    with pytest.raises(DistillationError, match=r"t\.jsonl:1: sample is \[0\]"):
        build(tmp_path, [row("질문", "답", sample=[0])], [row("질문", "답")])


@pytest.mark.parametrize("threshold", [0.5, 0.8, 1.0])
def test_near_groups_are_those_of_comparing_all_pairs(threshold: float) -> None:
    chance = random.Random(5)
    texts = [sentence(number) for number in range(40)]
    for number in range(120):
        words = texts[chance.randrange(len(texts))].split()
        words[chance.randrange(len(words))] = chance.choice(WORDS)
        texts.append(" ".join(words) + "?" * (number % 3))
    for number in range(60):  # one large group and some that are near it
        texts.append(f"{texts[0]} {texts[0]} {sentence(number)[: number % 16]}".strip())
    grams = [
        {" ".join(text.rstrip("?").split())[at : at + 3] for at in range(len(text.rstrip("?")) - 2)} for text in texts
    ]
    expected = list(range(len(texts)))
    for one, other in itertools.combinations(range(len(texts)), 2):
        if len(grams[one] & grams[other]) >= threshold * len(grams[one] | grams[other]):
            low, high = sorted((expected[one], expected[other]))
            expected = [low if group == high else group for group in expected]
    assert len(set(expected)) > 1
    assert near_groups(texts, threshold) == expected
