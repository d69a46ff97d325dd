"""Over-long pairs are dropped whole and counted; what is left has its prompt's tail and its response's end."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import training_settings

from distillm2.errors import DistillationError
from distillm2.stage.batch import ResponseTokens
from distillm2.stage.data import Pairs, describe_thinking, drop_unfit, load_pairs, stage_logger
from distillm2.stage.register import read_training_arguments
from distillm2.stage.statistics import DistillState

SHORT, LONG = "7일 안에 정산한다.", "연차휴가는 5일까지 다음 해로 이월한다. " * 20
ROWS = [
    {"instruction": "출장비는?", "input": "", "chosen": chosen, "rejected": rejected}
    for chosen, rejected in [(SHORT, SHORT), (LONG, SHORT), (SHORT, LONG), (LONG, LONG), (SHORT, "언제든지.")]
]
Load = Callable[..., Pairs]


class Messages(logging.Handler):
    """Everything that is logged while it is attached."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage() + "\n"


@pytest.fixture
def messages() -> Iterator[Messages]:
    handler = Messages()
    stage_logger().addHandler(handler)
    yield handler
    stage_logger().removeHandler(handler)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    (folder / "pairs.json").write_text(json.dumps(ROWS, ensure_ascii=False), encoding="utf-8")
    columns = {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"}
    entry = {
        "pairs": {"file_name": "pairs.json", "ranking": True, "columns": columns},
        "single": {"file_name": "pairs.json", "columns": {"prompt": "instruction", "response": "chosen"}},
    }
    (folder / "dataset_info.json").write_text(json.dumps(entry), encoding="utf-8")
    return folder


@pytest.fixture
def load(student: Path, folder: Path, tmp_path: Path) -> Load:
    def load(**settings: Any) -> Pairs:
        given = training_settings(student, folder, tmp_path / "run", Path("teacher"), **settings)
        return load_pairs(*read_training_arguments(given)[:3])

    return load


def test_pairs_that_do_not_fit_are_dropped_and_counted(load: Load, messages: Messages) -> None:
    kept = load(cutoff_len=128).dataset_module["train_dataset"]
    assert len(kept) == 2
    assert (
        "3 of 5 pairs dropped (1 too long with either response, 1 too long with the teacher's response, "
        "1 too long with the student's response); 2 are left" in messages.text
    )


def test_nothing_is_cut(load: Load) -> None:
    pairs = load(cutoff_len=128)
    tokenizer = pairs.tokenizer_module["tokenizer"]
    for row in pairs.dataset_module["train_dataset"]:
        for side in ("chosen", "rejected"):
            text = tokenizer.decode(row[f"{side}_input_ids"])
            assert "출장비는?<|im_end|>\n<|im_start|>assistant\n" in text
            assert text.rstrip().endswith("<|im_end|>")


def test_everything_fits_a_longer_cutoff(load: Load) -> None:
    assert len(load(cutoff_len=4096).dataset_module["train_dataset"]) == 5


def test_nothing_left_is_an_error_with_the_counts(load: Load) -> None:
    with pytest.raises(DistillationError, match=r"5 of 5 pairs dropped .* cutoff_len is 16, .*raise cutoff_len"):
        load(cutoff_len=16)


def test_a_dataset_that_cannot_be_read_is_named(load: Load) -> None:
    for name, fault in (("missing", "Undefined dataset missing"), ("single", "not applicable in the current")):
        with pytest.raises(DistillationError, match=rf"dataset {name} in .*{fault}.* `distillm2 pairs` writes"):
            load(cutoff_len=128, dataset=name)


def test_evaluation_data_are_filtered_and_named(load: Load) -> None:
    pairs = load(cutoff_len=128, eval_dataset="pairs", eval_on_each_dataset=True, eval_strategy="steps")
    assert {name: len(dataset) for name, dataset in pairs.datasets().items()} == {"train": 2, "eval_pairs": 2}


def test_empty_responses_are_dropped() -> None:
    from datasets import Dataset

    row = {"chosen_labels": [-100, -100, 5], "rejected_labels": [-100, -100]}
    rows = Dataset.from_list([row, row | {"rejected_labels": [-100, 4]}, row | {"chosen_labels": [-100]}])
    kept, dropped = drop_unfit(rows, 8)
    assert dropped.describe() == "2 of 3 pairs dropped (2 with an empty response); 1 are left"
    assert kept[0]["rejected_labels"] == [-100, 4]


def test_a_reasoning_template_is_pointed_out(load: Load, messages: Messages) -> None:
    load(cutoff_len=512, template="qwen3")
    assert "an empty <think></think> block, learned as the response's beginning" in messages.text


def test_other_templates_are_not(load: Load) -> None:
    assert describe_thinking(load(cutoff_len=512).template, "qwen") == ""


def test_an_anchor_that_leaves_alpha_no_range_is_warned_of_once(messages: Messages) -> None:
    state = DistillState()
    for _ in range(2):
        state.fix_anchor({"gap_teacher": 0.2, "gap_student": -0.1})
    assert messages.text.count("The first mean gap on student responses is -0.1") == 1
    assert "teacher responses" not in messages.text


def test_response_tokens_of_a_batch() -> None:
    labels = torch.tensor([[-100, -100, 5, 6], [-100, 7, -100, -100], [-100, 8, 9, 2], [-100, -100, -100, 3]])
    tokens = ResponseTokens.of(labels)
    assert tokens.rows.tolist() == [0, 0, 1, 2, 2, 2, 3]
    assert tokens.columns.tolist() == [1, 2, 0, 0, 1, 2, 2]
    assert tokens.labels.tolist() == [5, 6, 7, 8, 9, 2, 3]
    assert tokens.token_written.tolist() == [False] * 3 + [True] * 4
    values = torch.tensor([1.0, 3.0, 5.0, 1.0, 2.0, 6.0, 4.0])
    assert tokens.mean(values).tolist() == [2.0, 5.0, 3.0, 4.0]
    weight = tokens.per_token(torch.tensor([1.0, 1.0, 2.0, 2.0]))
    torch.testing.assert_close((weight * values).sum(), torch.tensor((2.0 + 5.0) / 2 + 2 * (3.0 + 4.0) / 2))
