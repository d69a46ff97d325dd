from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import expit
from scipy.special import log_softmax as reference_log_softmax

from llmflow.errors import ConfigurationError
from llmflow.retrieval.reranking.calibration import Calibration, against_chance, log_softmax, margin
from llmflow.retrieval.reranking.permutation import _pattern, read_order
from llmflow.retrieval.reranking.windows import windows
from llmflow.settings import RerankerSettings, load_settings


def test_log_softmax_and_the_logistic_function_match_scipy() -> None:
    values = [-700.0, -3.5, -0.1, -12.0, -3.5]
    np.testing.assert_allclose(log_softmax(values), reference_log_softmax(values), rtol=1e-12)
    raws = [-800.0, -2.0, 0.0, 0.5, 30.0, 800.0]
    np.testing.assert_allclose([Calibration(0.7, -0.2)(raw) for raw in raws], expit(0.7 * np.array(raws) - 0.2))


def test_equal_passages_are_at_chance_however_many() -> None:
    for count in (2, 7, 20):
        assert against_chance(log_softmax([-4.0] * count)) == pytest.approx([0.0] * count)


def test_margin_is_between_the_first_two() -> None:
    assert margin([math.log(0.2), math.log(0.5), math.log(0.3)]) == pytest.approx(0.2)


@pytest.mark.parametrize("count", [1, 19, 20, 21, 29, 30, 31, 55, 100])
@pytest.mark.parametrize(("size", "step"), [(20, 10), (4, 2), (5, 1), (3, 2)])
def test_windows_overlap_from_the_back_to_the_front(count: int, size: int, step: int) -> None:
    found = list(windows(count, size, step))
    assert found[0][1] == count
    assert found[-1][0] == 0
    assert {position for start, end in found for position in range(start, end)} == set(range(count))
    for (later, later_end), (start, end) in pairwise(found):
        assert end - start == later_end - later == size
        assert start < later < end
        assert later_end - end <= step


def test_windows_of_a_hundred() -> None:
    assert list(windows(100, 20, 10)) == [(start, start + 20) for start in range(80, -1, -10)]


@pytest.mark.parametrize(
    ("text", "order", "missing"),
    [
        ("[3] > [1] > [2] > [4]", [2, 0, 1, 3], 0),
        ("3, 1, 2, 4", [2, 0, 1, 3], 0),
        ("[2] > [2] > [4]", [1, 3, 0, 2], 2),
        ("[9] > [0] > [4] > [-1]", [3, 0, 1, 2], 2),
        ("[4] > [3", [3, 2, 0, 1], 2),
        ("1" * 5000, [0, 1, 2, 3], 4),
        ("모르겠습니다", [0, 1, 2, 3], 4),
        ("", [0, 1, 2, 3], 4),
        ("² ③ [2]", [1, 0, 2, 3], 3),
    ],
)
def test_orders_are_read_whatever_was_written(text: str, order: list[int], missing: int) -> None:
    assert read_order(text, 4) == (order, missing)


def test_the_pattern_is_of_as_many_numbers_as_passages() -> None:
    pattern = re.compile(_pattern(12))
    whole = " > ".join(f"[{number}]" for number in range(12, 0, -1))
    assert pattern.fullmatch(whole)
    assert not pattern.fullmatch(whole.removesuffix(" > [1]"))
    assert not pattern.fullmatch(whole.replace("[12]", "[13]"))
    assert not pattern.fullmatch(whole.replace("[12]", "[0]"))


def test_windows_that_do_not_overlap_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="step is 10; it must be less than window, which is 10"):
        load_settings(reranker={"window": 10, "step": 10})
    assert RerankerSettings(window=10, step=9).step == 9
