from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from command_line import run

TOPICS = ("연차휴가", "비밀번호", "출장비", "재택근무", "건강검진", "법인카드")


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """A set of one document and one question a topic."""
    (tmp_path / "qrels").mkdir()
    corpus = [{"_id": f"d{n}", "title": topic, "text": f"{topic}에 관한 규정이다."} for n, topic in enumerate(TOPICS)]
    queries = [{"_id": f"q{n}", "text": f"{topic}는 어떻게 되나요?"} for n, topic in enumerate(TOPICS)]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    judged = "".join(f"q{n}\td{n}\t1\n" for n in range(len(TOPICS)))
    (tmp_path / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged, encoding="utf-8")
    return tmp_path


def test_retrieval_is_measured(place: Path, beir: Path) -> None:
    pytest.importorskip("bm25s", reason="needs pip install 'llmflow[evaluation]'")
    pytest.importorskip("pytrec_eval", reason="needs pip install 'llmflow[evaluation]'")
    file = beir / "report.json"
    ran = run("evaluate", "retrieval", beir, "--split", "dev", "--json", file)
    assert ran.code == 0, ran.err
    report = json.loads(file.read_text(encoding="utf-8"))
    assert report["queries"] == len(TOPICS)
    assert report["systems"]["llmflow"]["ndcg@10"] == 1.0
    assert {"bm25_kiwi", "bm25_whitespace", "chunk_grams"} <= set(report["systems"])
    assert "bm25_kiwi" in ran.out
    missing = run("evaluate", "retrieval", beir, "--split", "test")
    assert missing.code == 2
    assert "dev" in missing.err


def test_personal_data_is_measured(place: Path, tmp_path: Path) -> None:
    text = "전자우편은 hong@example.com입니다."
    row = {"text": text, "spans": [{"label": "EMAIL", "start": 6, "end": 22}]}
    (tmp_path / "labelled.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    ran = run("evaluate", "pii", tmp_path / "labelled.jsonl", "--json", tmp_path / "report.json")
    assert ran.code == 0, ran.err
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["systems"]["llmflow"]["entities"]["EMAIL"]["recall"] == 1.0
    assert "EMAIL" in ran.out


def test_report_that_cannot_be_written_is_refused_before_the_work(place: Path, tmp_path: Path) -> None:
    ran = run("evaluate", "pii", tmp_path / "none.jsonl", "--json", tmp_path / "nowhere" / "report.json")
    assert ran.code == 2
    assert "report.json" in ran.err


def test_missing_libraries_are_named(place: Path, beir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "evaluation"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "bm25s", None)
    ran = run("evaluate", "retrieval", beir, "--split", "dev")
    assert ran.code == 2
    assert "bm25s" in ran.err
    assert "pip install 'llmflow[evaluation]'" in ran.err
