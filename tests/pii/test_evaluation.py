"""The evaluation counts as its docstring says, and the project's targets hold on the labelled set."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from evaluation.pii import evaluate_pii, print_pii_report
from llmflow.errors import InvalidInputError


def span(text: str, label: str, value: str) -> dict[str, object]:
    start = text.index(value)
    return {"label": label, "start": start, "end": start + len(value)}


def write(path: Path, rows: list[tuple[str, list[tuple[str, str]]]]) -> Path:
    lines = [
        json.dumps({"text": text, "spans": [span(text, label, value) for label, value in spans]})
        for text, spans in rows
    ]
    content = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


ROWS = [
    ("담당자 홍길동 과장 팩스 02-123-4567", [("PERSON", "홍길동"), ("FAX", "팩스 02-123-4567")]),
    ("전화 010-1234-5678, 사번 20180945", [("EMPLOYEE_ID", "20180945")]),
    ("이메일 없음, 여권번호는 XX", [("PASSPORT", "XX")]),
    ("born on 03/27/1991", [("DATE_TIME", "03/27/1991")]),
]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_counting(tmp_path: Path, name: str) -> None:
    report = evaluate_pii(write(tmp_path / name, ROWS))
    ours = report["systems"]["llmflow"]
    assert (report["documents"], report["dataset"]) == (4, name)
    assert ours["entities"]["PERSON"]["f1"] == 1.0
    phone = ours["entities"]["PHONE"]
    assert (phone["gold"], phone["found"], phone["predicted"]) == (1, 1, 2)  # fax is phone; the mobile is a false alarm
    assert (phone["precision"], phone["recall"]) == (0.5, 1.0)
    assert ours["false_alarms"] == {"PHONE": {"nothing": 1}}
    assert ours["entities"]["PASSPORT"] == {
        **{"gold": 1, "found": 0, "predicted": 0, "correct": 0},
        **{"precision": None, "recall": 0.0, "f1": None},
    }
    assert ours["entities"]["BIRTH_DATE"]["predicted"] == 0  # on a neutral label: neither right nor wrong
    assert ours["structured"]["gold"] == 2
    assert "EMPLOYEE_ID" not in ours["entities"]
    assert report["systems"]["presidio"]["ms_per_kb"] > 0


def test_table_names_both_systems(tmp_path: Path) -> None:
    console = Console(record=True, width=120, file=open(os.devnull, "w"))  # noqa: SIM115
    print_pii_report(evaluate_pii(write(tmp_path / "rows.jsonl", ROWS), limit=1), console)
    shown = console.export_text()
    assert "llmflow" in shown
    assert "presidio" in shown
    assert "structured" in shown


def test_malformed_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "spans": []}\n{"text": "b"}\n')
    with pytest.raises(InvalidInputError, match=r"rows\.jsonl:2"):
        evaluate_pii(path)
    with pytest.raises(InvalidInputError, match="is no file"):
        evaluate_pii(tmp_path / "absent.jsonl")


def labelled(name: str) -> Path:
    root = os.environ.get("LLMFLOW_EVAL_DATA")
    if not root or not (Path(root) / "pii" / name).is_file():
        pytest.skip(f"set LLMFLOW_EVAL_DATA to a folder holding pii/{name}")
    return Path(root) / "pii" / name


def test_targets_on_korean_letters() -> None:
    report = evaluate_pii(labelled("ko_eval_corpus.jsonl"))["systems"]
    ours = report["llmflow"]
    assert ours["structured"]["recall"] >= 0.97
    assert ours["structured"]["precision"] >= 0.95
    assert ours["entities"]["PERSON"]["f1"] >= 0.80
    assert ours["entities"]["ADDRESS"]["f1"] >= 0.80
    assert ours["structured"]["f1"] > report["presidio"]["structured"]["f1"]


def test_few_false_names_in_news() -> None:
    ours = evaluate_pii(labelled("ko_klue_ner_dev.jsonl.gz"), limit=1500)["systems"]["llmflow"]
    assert ours["entities"]["PERSON"]["precision"] >= 0.95
