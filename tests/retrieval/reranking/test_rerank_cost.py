from __future__ import annotations

import random

import pytest
from scripted_student import scripted_student

from evaluation.rerank_cost import METHODS, Cost, measure, passages, tabulate
from llmflow.korean import count_tokens


def test_every_method_is_measured_on_the_same_questions() -> None:
    with scripted_student(relevance=5) as student:
        costs = measure(student.client(), 6, questions=2)
    assert list(costs) == list(METHODS)
    assert {len(cost.seconds) for cost in costs.values()} == {2}
    requests = {name: cost.requests for name, cost in costs.items()}
    assert requests["listwise, one token"] == requests["permutation (RankGPT)"] == 1
    assert requests["listwise, asked twice"] == 2
    assert requests["pointwise"] == 6
    assert costs["pointwise"].completion_tokens == 6
    contents = [chat["messages"][1]["content"] for chat in student.chats]
    assert len(set(contents)) == len(contents)


def test_passages_are_of_one_size_and_differ() -> None:
    found = passages(30, random.Random(1))
    assert len(set(found)) == 30
    assert all(100 <= count_tokens(passage) <= 200 for passage in found)


def test_ratios_are_of_the_first_row_and_paired_by_question() -> None:
    table = tabulate(20, {"a": Cost([1.0, 9.0, 2.0], 1, 10, 80), "b": Cost([0.5, 3.0, 0.25], 2, 20, 4)})
    assert table.rows[0][1:] == ("2.000", "1.000-9.000", "1.0", "10", "80.0", "1.0", "1.0")
    assert table.rows[1][-2:] == ("3.0", "20.0")
    assert len(table.header) == len(table.rows[0])


@pytest.mark.parametrize("name", METHODS)
def test_names_are_of_methods(name: str) -> None:
    assert METHODS[name]["method"] in name
