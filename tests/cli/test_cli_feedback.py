from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Ran, run


@pytest.fixture
def judged(tmp_path: Path, ingested: Ran) -> Path:
    """Two lines that can be used, and bad ones of every kind."""
    documents = {document["name"]: document["id"] for document in run("documents", "--json").json["documents"]}
    lines = [
        json.dumps({"question": "휴가를 다음 해에 쓸 수 있나요?", "documents": ["휴가규정.md"]}, ensure_ascii=False),
        json.dumps({"question": "May I work at home?", "documents": [documents["handbook.md"], "휴가규정"]}),
        "",
        "not json",
        '{"question": "x"}',
        '{"question": " ", "documents": ["handbook.md"]}',
        '{"question": "x", "documents": ["nowhere.md"]}',
    ]
    file = tmp_path / "judged.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    yield file
    run("feedback", "forget", "--imported")


def test_bad_lines_are_named_and_the_others_imported(judged: Path) -> None:
    ran = run("feedback", "import", judged)
    assert ran.code == 1
    assert "remembered 2 questions with 3 documents; 4 mistakes" in ran.out
    for line, said in ((4, "no JSON"), (5, "not of the form"), (6, "not of the form"), (7, "'nowhere.md'")):
        assert f"line {line}: {said}" in ran.err.replace("no document 'nowhere.md'", "'nowhere.md'")
    again = run("feedback", "import", judged, "--json").json
    assert (again["questions"], again["passages"], len(again["mistakes"])) == (2, 3, 4)
    assert run("feedback", "list", "--json").json["total"] == 3


def test_what_is_imported_is_found_sooner_and_says_why(judged: Path) -> None:
    run("feedback", "import", judged)
    result = run("search", "집에서 일해도 되나요? May I work at home?", "--explain", "--json").json
    handbook = next(hit for hit in result["candidates"] if hit["chunk"]["document_name"] == "handbook.md")
    assert any(stage["stage"] == "memory" and stage["score"] > 0.1 for stage in handbook["stages"])


def test_memories_are_listed_and_forgotten(judged: Path) -> None:
    assert "nothing is remembered" in run("feedback", "list").out
    run("feedback", "import", judged)
    listed = run("feedback", "list", "--json").json["memories"]
    assert listed[0]["id"] in run("feedback", "list").out
    assert run("feedback", "forget", listed[0]["id"], "--json").json == {"forgotten": 1}
    missing = run("feedback", "forget", listed[0]["id"])
    assert missing.code == 1
    assert "llmflow feedback list" in missing.err
    assert run("feedback", "forget", "--document", listed[1]["document_id"], "--json").json["forgotten"] >= 1
    run("feedback", "forget", "--imported")
    assert run("feedback", "list", "--json").json == {"memories": [], "total": 0}
    for wrong in ([], [listed[0]["id"], "--imported"]):
        refused = run("feedback", "forget", *wrong)
        assert refused.code == 2
        assert "name one memory's id" in refused.err


def test_a_beir_folder_is_imported_by_names(judged: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "handbook", "title": "", "text": "x"}\n', encoding="utf-8")
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "How many days at home?"}\n', encoding="utf-8")
    (folder / "qrels" / "train.tsv").write_text("q\td\ts\nq1\thandbook\t1\nq1\tother\t0\n", encoding="utf-8")
    ran = run("feedback", "import", folder)
    assert ran.code == 0, ran.err
    (one,) = run("feedback", "list", "--json").json["memories"]
    assert (one["question"], one["origin"]) == ("How many days at home?", "gold")
    missing = run("feedback", "import", tmp_path / "none.jsonl")
    assert missing.code == 2
    assert "none.jsonl cannot be read" in missing.err
