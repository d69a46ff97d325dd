from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sets import QUESTIONS, RELEVANT, thirty_documents, write_set

from evaluation.baselines import bm25_kiwi, bm25_whitespace
from evaluation.beir import load
from evaluation.retrieval import evaluate_retrieval, print_retrieval_report
from llmflow.errors import InvalidInputError
from llmflow.retrieval.legs import GRAPH, LEXICAL, MEMORY, SPREAD
from llmflow.settings import Settings

METRICS = ["ndcg@10", "recall@5", "recall@10", "recall@100", "mrr@10", "map"]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("evaluation")
    progress: list[tuple[str, int, int]] = []
    settings = Settings(data_dir=folder / "mine")
    found = evaluate_retrieval(
        thirty_documents(folder / "thirty"), "test", settings, lambda *args: progress.append(args)
    )
    assert not (folder / "mine").exists(), "the user's own stores are not touched"
    assert progress[0] == ("index", 30, 30)
    assert progress[-1] == ("search", len(QUESTIONS), len(QUESTIONS))
    return found


def test_the_report_has_its_form_and_can_be_written(report: dict[str, Any]) -> None:
    assert (report["dataset"], report["split"]) == ("thirty", "test")
    assert (report["queries"], report["documents"], report["chunks"]) == (6, 30, 30)
    assert set(report["systems"]) == {"llmflow", *LEXICAL, GRAPH, MEMORY, "bm25_kiwi", "bm25_whitespace"}
    for values in report["systems"].values():
        assert list(values) == METRICS
        assert all(0 <= value <= 1 for value in values.values())
    stages = {"total", "analyze", "legs", "fuse", "select", "facts", *LEXICAL, GRAPH, SPREAD, MEMORY}
    assert stages == set(report["timings_ms"])
    assert all(0 <= value["p50"] <= value["p95"] for value in report["timings_ms"].values())
    assert report["index_seconds"] > 0
    assert json.loads(json.dumps(report)) == report


def test_the_pipeline_is_good_on_an_easy_set(report: dict[str, Any]) -> None:
    systems = report["systems"]
    assert systems["llmflow"]["ndcg@10"] == systems["llmflow"]["mrr@10"] == 1.0
    # Particles hide the words of most questions from white space.
    assert systems["bm25_whitespace"]["ndcg@10"] < systems["bm25_kiwi"]["ndcg@10"] <= 1.0


def test_the_report_can_be_shown(report: dict[str, Any]) -> None:
    shown = io.StringIO()
    print_retrieval_report(Console(file=shown, width=200), report)
    for expected in ("thirty / test: 6 queries, 30 documents", "llmflow", "bm25_kiwi", "ndcg@10", "p95 ms", "1.000"):
        assert expected in shown.getvalue()


def test_long_ids_and_an_embedder_are_no_obstacle(tmp_path: Path) -> None:
    words = ["연차휴가", "출장비", "비밀번호", "회의실", "경조금", "재택근무"]
    corpus = [
        {"_id": f"<dbpedia:{word}_{'긴_이름_' * 20}{n}>", "title": word, "text": f"{word} {other} 안내 {n}."}
        for n in range(4) for word, other in zip(words, words[1:] + words[:1], strict=True)
    ]  # fmt: skip
    right = {record["_id"]: 1 for record in corpus if record["title"] == "출장비"}
    folder = write_set(tmp_path / "long", corpus, {"q": "출장비의 안내"}, {"q": right})
    settings = Settings(embedder={"training": {"min_chunks": 10, "steps": 3, "batch_size": 8, "dimensions": 8}})  # type: ignore[arg-type]
    report = evaluate_retrieval(folder, "test", settings, lambda *_: None)
    assert report["systems"]["llmflow"]["recall@10"] == 1.0
    assert "dense" in report["systems"]
    assert "dense" in report["timings_ms"]
    assert report["train_seconds"] > 0


def test_a_wrong_split_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    folder = thirty_documents(tmp_path / "thirty")
    with pytest.raises(InvalidInputError, match="found: test"):
        evaluate_retrieval(folder, "dev", Settings(), lambda *_: None)


def test_baselines_rank_and_leave_out_what_matches_nothing(tmp_path: Path) -> None:
    data = load(thirty_documents(tmp_path / "thirty"), "test")
    kiwi, whitespace = bm25_kiwi(data), bm25_whitespace(data)
    for query, document in RELEVANT.items():
        assert max(kiwi[query], key=lambda found, of=kiwi[query]: of[found]) == document
        assert all(score > 0 for score in kiwi[query].values())
    assert whitespace["q4"] == {}, "'회의실을 예약하려면' shares no white-space word with any document"
