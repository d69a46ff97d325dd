from __future__ import annotations

import pytest

from llmflow.generation.numerals import missing, values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("40,000원", {40000}),
        ("4만 원", {40000}),
        ("2만 5천원", {25000}),
        ("1억 2천만 원", {120_000_000}),
        ("3.5 million", {3_500_000}),
        ("09:00부터 18:30", {9, 18, 30}),
        ("제60조 제1항", {60, 1}),
        ("2026년 7월 1일", {2026, 7, 1}),
        ("열다섯", set()),
    ],
)
def test_values(text: str, expected: set[float]) -> None:
    assert values(text) == expected


def test_spelled_numbers_count_as_held() -> None:
    assert not missing(values("3개월, 2회, 40시간"), "three months, forty hours, 두 번")
    assert missing(values("30일"), "휴가는 15일이다") == {30}
