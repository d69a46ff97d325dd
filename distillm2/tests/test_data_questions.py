"""What is read out of a judge's and a teacher's words."""

from __future__ import annotations

import pytest

from distillm2.data.questions import json_object, parse_judgement


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ('{"grounded": 8, "answerable": 9, "clear": 10, "reason": "ok"}', 8.0),
        ('<think>{"grounded": 1}</think>{"grounded": 7.5, "answerable": 9, "clear": 10}', 7.5),
        ('{"grounded": 8, "answerable": 9}', None),
        ('{"grounded": 11, "answerable": 9, "clear": 10}', None),
        ('{"grounded": -1, "answerable": 9, "clear": 10}', None),
        ('{"grounded": "8", "answerable": 9, "clear": 10}', None),
        ('{"grounded": true, "answerable": 9, "clear": 10}', None),
        ('{"grounded": NaN, "answerable": 9, "clear": 10}', None),
        ('{"grounded": 1' + "0" * 400 + ', "answerable": 9, "clear": 10}', None),
        ('{"grounded": 1' + "0" * 9000 + ', "answerable": 9, "clear": 10}', None),
        ('{"grounded": 1e999, "answerable": 9, "clear": 10}', None),
        ("10/10", None),
        ("", None),
        ('{"grounded": 8, "answerable": 9, "clear": 10', None),
    ],
)
def test_only_a_whole_judgement_is_a_judgement(said: str, score: float | None) -> None:
    judgement = parse_judgement(said)
    assert (judgement.score if judgement else None) == score


def test_json_is_found_in_what_models_say() -> None:
    assert json_object('물론입니다 {예시}\n```json\n{"question": "가\n나", "answer": "{중괄호}"}\n```') == {
        "question": "가\n나",
        "answer": "{중괄호}",
    }
    assert json_object("없습니다") == {}
    assert json_object('{"question": ' + "[" * 100_000) == {}
