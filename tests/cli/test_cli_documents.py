"""Ingest, find, ask, list and delete, as a user would; the tests of this file build on each other's documents."""

from __future__ import annotations

import json
import sys
from io import StringIO
from pathlib import Path

import pytest
from command_line import HANDBOOK, NOT_READY, READY, Ran, run

CONTROL = "\x1b"


def document_id(name: str) -> str:
    (found,) = [row for row in run("documents", "--json").json["documents"] if row["name"] == name]
    return str(found["id"])


def test_ingest_says_what_became_of_every_file(ingested: Ran) -> None:
    report = ingested.json
    assert ingested.code == 0
    assert ingested.err == ""
    rows = {row["name"]: row for row in report["documents"]}
    assert set(rows) == {*READY, *NOT_READY}
    assert all(rows[name]["status"] == "ready" and rows[name]["chunks_count"] > 0 for name in READY)
    assert rows["empty.txt"]["status"] == rows["empty.txt"]["reason"] == "empty"
    assert rows["fake.pdf"]["status"] == "refused"
    assert rows["fake.pdf"]["reason"] == "type_mismatch"
    assert "fake.pdf" in rows["fake.pdf"]["message"]
    assert rows["휴가규정.md"]["entities_count"] == 2
    assert report["counts"] == {"ready": 3, "unchanged": 0, "empty": 1, "needs_ocr": 0, "refused": 1, "failed": 0}
    assert report["embedder"] is None


def test_ingest_again_does_nothing(place: Path, ingested: Ran) -> None:
    again = run("ingest", place / "documents")
    assert again.code == 0
    rows = {line.split()[0]: line.split()[1] for line in again.out.splitlines() if len(line.split()) == 2}
    assert (rows["unchanged"], rows["empty"], rows["refused"]) == ("3", "1", "1")
    assert "fake.pdf" in again.out
    assert "type_mismatch" in again.out
    assert CONTROL not in again.out + again.err
    report = run("ingest", place / "documents", "--json").json
    assert {row["name"] for row in report["documents"] if row["unchanged"]} == set(READY)


def test_ingest_fails_where_nothing_becomes_ready(place: Path, ingested: Ran) -> None:
    ran = run("ingest", place / "documents" / "empty.txt", place / "documents" / "fake.pdf")
    assert ran.code == 1
    (place / "nothing").mkdir(exist_ok=True)
    ran = run("ingest", place / "nothing", "--json")
    assert ran.code == 0
    assert ran.json["documents"] == []
    assert "no files" in ran.err


def test_ingest_trains_the_embedder_when_due(
    place: Path, ingested: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMFLOW_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LLMFLOW_EMBEDDER__TRAINING__MIN_CHUNKS", "2")
    monkeypatch.setenv("LLMFLOW_EMBEDDER__TRAINING__STEPS", "2")
    without = run("ingest", place / "documents", "--no-train", "--json").json
    assert without["embedder"] is None
    trained = run("ingest", place / "documents", "--json").json["embedder"]
    assert trained["chunks"] == sum(row["chunks_count"] for row in without["documents"])
    by_hand = run("train-embedder", "--json")
    assert by_hand.code == 0
    assert by_hand.json["chunks"] == trained["chunks"]
    assert by_hand.json["seconds"] > 0
    assert "dense" in run("search", "연차휴가", "--json").json["timings_ms"]
    assert by_hand.json["version"] in run("doctor").out


def test_search_explains_itself(ingested: Ran) -> None:
    result = run("search", "연차휴가의 이월은", "--json").json
    best = result["candidates"][0]
    assert best["chunk"]["document_name"] == "휴가규정.md"
    assert best["stages"][-1] == {"stage": "fused", "rank": 1, "score": best["score"]}
    assert result["timings_ms"]["legs"] > 0
    shown = run("search", "연차휴가의 이월은", "--explain").out
    assert "제4조(연차휴가)" in shown
    assert "5일까지 이월한다" in shown
    assert f"1 ({best['score']:.3f})" in shown
    assert "passage_words" in shown  # the times
    assert "[EMAIL]" in shown
    assert "hr@example.com" not in shown


def test_search_options(ingested: Ran) -> None:
    everything = run("search", "규정", "--threshold", "0", "--json").json["candidates"]
    assert len(everything) == 2
    assert len(run("search", "규정", "--threshold", "0", "--top-k", "1", "--json").json["candidates"]) == 1
    assert "nothing found" in run("search", "규정", "--threshold", "1").out
    assert run("search", "규정", "--threshold", "0", "--department", "other", "--json").json["candidates"] == []
    both = run("search", "규정", "--threshold", "0", "--department", "other", "--department", "shared", "--json")
    assert both.json["candidates"] == everything


def test_ask_answers_with_citations(ingested: Ran) -> None:
    question = "5년 이상 근속한 직원의 연차휴가는 며칠인가요?"
    answer = run("ask", question, "--json").json
    assert answer["mode"] == "extractive"
    assert "17일" in answer["text"]
    assert answer["citations"][0]["document_name"] == "휴가규정.md"
    assert answer["retrieval"]["candidates"]
    shown = run("ask", question, "--explain").out
    assert "17일" in shown
    assert "[1] 휴가규정.md “" in shown
    assert "extractive" in shown
    assert f"{answer['retrieval']['candidates'][0]['score']:.3f}" in shown


def test_ask_says_that_there_is_no_evidence(ingested: Ran) -> None:
    ran = run("ask", "Who won the football world cup in 1998?")
    assert ran.code == 0
    assert "no evidence found in the documents" in ran.out
    assert "abstained" in ran.out


def test_documents_are_listed_and_shown(ingested: Ran) -> None:
    page = run("documents", "--json").json
    assert page["total"] == 5
    refused = run("documents", "--status", "refused")
    assert "fake.pdf" in refused.out
    assert "type_mismatch" in refused.out
    assert "handbook.md" not in refused.out
    assert "1 of 5" in run("documents", "--limit", "1").out
    shown = run("documents", document_id("fake.pdf")[:8]).out
    assert "message" in shown
    report = run("documents", document_id("handbook.md"), "--json").json
    assert report["jobs"][0]["stage"] == "graph"
    trace = report["jobs"][0]["trace_id"]
    assert "ingest.parse" in run("traces", trace).out
    assert run("documents", "--department", "other").out.startswith("no documents")


def test_traces_are_listed_and_shown_as_a_tree(ingested: Ran) -> None:
    run("search", "비밀번호")
    newest = run("traces", "--limit", "1", "--json").json["traces"][0]
    assert newest["name"] == "search"
    assert newest["errors"] == 0
    assert newest["trace_id"][:8] in run("traces").out
    lines = run("traces", newest["trace_id"][:12]).out.splitlines()
    depth = {name: line.index(name) for line in lines for name in ("retrieve ", "retrieve.fuse") if name in line}
    assert depth["retrieve "] < depth["retrieve.fuse"]
    tree = run("traces", newest["trace_id"], "--json").json
    assert tree["roots"][0]["children"][0]["name"] == "retrieve"
    missing = run("traces", "ffffffffffff")
    assert missing.code == 1
    assert missing.err.startswith("error: no trace")


def test_delete_removes_documents_and_only_together(place: Path, ingested: Ran) -> None:
    other = place / "more.md"
    other.write_text(HANDBOOK.replace("home", "the moon"), encoding="utf-8")
    assert run("ingest", other).code == 0
    moon = document_id("more.md")
    assert run("search", "moon", "--json").json["candidates"]

    wrong = run("delete", moon, "ffffffff", "--yes")
    assert wrong.code == 1
    assert "ffffffff" in wrong.err
    assert document_id("more.md") == moon

    ran = run("delete", moon[:10], moon, "--yes", "--json")
    assert ran.code == 0
    assert [document["id"] for document in ran.json["deleted"]] == [moon]
    assert run("documents", moon).code == 1
    assert not run("search", "moon", "--json").json["candidates"]
    # What another process finds is read from the disk, not from this one's memory.
    assert run("documents", "--json").json["total"] == 5


@pytest.mark.parametrize(("reply", "left"), [("n\n", True), ("", True), ("y\n", False)])
def test_delete_asks_first(place: Path, ingested: Ran, monkeypatch: pytest.MonkeyPatch, reply: str, left: bool) -> None:
    other = place / "asked.md"
    other.write_text(HANDBOOK, encoding="utf-8")
    run("ingest", other)
    monkeypatch.setattr(sys, "stdin", StringIO(reply))
    ran = run("delete", document_id("asked.md"))
    assert ran.code == (1 if left else 0)
    assert "asked.md" in ran.err
    names = [row["name"] for row in run("documents", "--json").json["documents"]]
    assert ("asked.md" in names) is left
    assert "--yes" in json.loads(run("delete", "whatever", "--json").out)["error"]["message"]
