from __future__ import annotations

from pathlib import Path

import pytest
from sets import QUESTIONS, thirty_documents, write_set
from typer.testing import CliRunner

from evaluation.beir import load
from evaluation.bench_retrieval import VARIANTS, SetReport, app, bench_set, sample, tables
from llmflow.retrieval.legs import LEXICAL
from llmflow.settings import Settings

PEERS = Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
SMALL = {"training": {"min_chunks": 10, "steps": 20, "batch_size": 8, "dimensions": 8}}
needs_peers = pytest.mark.skipif(not PEERS.exists(), reason="no .venv-peers; `make bench-retrieval` creates it")


def run(folder: Path, settings: Settings, queries: int = 100, peers: Path | None = None) -> SetReport:
    return bench_set(folder, "test", settings, queries, peers, lambda *_: None)


def word_pairs(folder: Path) -> Path:
    """25 documents of two words out of ten, so that an embedder knows every word, and a question about each."""
    pairs = [
        (word, other)
        for word in ("연차", "출장", "비밀번호", "회의실", "경조금")
        for other in ("신청", "결재", "보관", "기한", "정산")
    ]
    corpus = [
        {"_id": f"d{number}", "title": f"{word} {other}", "text": f"{word}은 {other} 다음에 {number}번으로 정한다."}
        for number, (word, other) in enumerate(pairs)
    ]
    questions = {f"q{number}": f"{word} 보관과 기한" for number, (word, _) in enumerate(pairs)}
    return write_set(folder, corpus, questions, {f"q{number}": {f"d{number}": 1} for number in range(len(pairs))})


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> SetReport:
    folder = tmp_path_factory.mktemp("bench")
    return run(thirty_documents(folder / "thirty"), Settings(embedder=SMALL))  # type: ignore[arg-type]


def test_every_variant_leg_and_baseline_is_measured(report: SetReport) -> None:
    alone = {f"LLMFlow, {name} alone" for name in (*LEXICAL, "dense")}
    assert set(report.quality) >= {*VARIANTS, *alone, "bm25s: kiwi morphemes", "bm25s: words at white space"}
    assert report.quality["LLMFlow"]["ndcg@10"] == 1.0
    assert (report.queries, report.queries_of, report.documents, report.chunks) == (6, 6, 30, 30)
    assert report.degraded == 0
    assert all(len(report.timings_ms[name]) == 6 for name in {*VARIANTS, *alone})
    assert report.stages_ms["total"] == report.timings_ms["LLMFlow"]


def test_each_variant_searches_with_its_own_settings(tmp_path: Path) -> None:
    found = run(word_pairs(tmp_path / "pairs"), Settings(embedder=SMALL))  # type: ignore[arg-type]
    assert len({found.quality[name]["map"] for name in VARIANTS}) > 1, "the fusions rank alike"


def test_a_sample_is_the_same_each_time_and_keeps_questions_and_judgements_together(tmp_path: Path) -> None:
    data = load(thirty_documents(tmp_path / "thirty"), "test")
    some = sample(data, 3)
    assert list(some.queries) == list(sample(data, 3).queries) == list(sample(data, 6).queries)[:3]
    assert list(some.queries) == list(some.qrels)
    assert len(some.queries) == 3
    assert some.corpus == data.corpus
    assert set(sample(data, 100).queries) == set(QUESTIONS)


def test_tables_have_a_column_for_each_set_and_a_gap_where_a_system_lacks(report: SetReport) -> None:
    other = SetReport(
        "other", "dev", 2, 9, 1234, 5678, 1.0, 0.0, {"LLMFlow": {"ndcg@10": 0.5, "recall@100": 1.0}},
        {"LLMFlow": [1.0, 3.0]}, {"total": [1.0, 3.0]}, 0, {},
    )  # fmt: skip
    _, quality, speed, _ = tables([report, other])
    assert quality.header == ("system", "thirty", "other")
    assert quality.rows[0] == ("LLMFlow", "1.000 / 1.000", "0.500 / 1.000")
    assert dict((row[0], row[2]) for row in quality.rows)["bm25s: kiwi morphemes"] == "–"
    assert speed.rows[0][2] == "2.0 / 2.9"
    assert "bm25s: kiwi morphemes" not in {row[0] for row in speed.rows}, "it is not timed"


def test_unknown_sets_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    for arguments, said in (
        (["ko_autorak", "--data", str(tmp_path)], "ko_autorak; known are ko_statute_cite"),
        (["--data", str(tmp_path / "nowhere")], "LLMFLOW_EVAL_DATA"),
    ):
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})
        assert result.exit_code == 2
        assert said in result.output


def test_the_page_gets_the_tables_and_keeps_its_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no llmflow.yaml
    thirty_documents(tmp_path / "ko_autorag")
    page = tmp_path / "page.md"
    page.write_text("By hand.\n\n<!-- retrieval:begin -->\nold\n<!-- retrieval:end -->\nBelow.\n", encoding="utf-8")
    arguments = ["ko_autorag", "--data", str(tmp_path), "--page", str(page), "--queries", "3"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "1.000 / 1.000" in result.output
    text = page.read_text(encoding="utf-8")
    assert text.startswith(
        "By hand.\n\n<!-- retrieval:begin -->\n\n`make bench-retrieval SETS='ko_autorag' QUERIES=3`, "
    )
    assert text.endswith("<!-- retrieval:end -->\nBelow.\n")
    assert "| LLMFlow | 1.000 / 1.000 |" in text
    assert "| questions | 3 of 6 |" in text
    assert "old" not in text


@needs_peers
def test_peers_search_the_same_passages_with_the_same_vectors(tmp_path: Path) -> None:
    found = run(word_pairs(tmp_path / "pairs"), Settings(embedder=SMALL), peers=PEERS)  # type: ignore[arg-type]
    ours = found.quality["LLMFlow, dense alone"]["ndcg@10"]
    for peer in ("LlamaIndex", "Haystack"):
        # Exact search of the same vectors.
        assert found.quality[f"{peer}: dense"]["ndcg@10"] == pytest.approx(ours, abs=0.03)
        for name in ("BM25", "BM25 + dense by rank", "BM25 + dense by score"):
            assert found.quality[f"{peer}: {name}"]["recall@100"] > 0.5
            assert len(found.timings_ms[f"{peer}: {name}"]) == 25
    assert {"llama-index-core", "llama-index-retrievers-bm25", "haystack-ai"} <= set(found.versions)


@needs_peers
def test_peers_have_bm25_alone_where_there_is_no_embedder(tmp_path: Path) -> None:
    found = run(thirty_documents(tmp_path / "thirty"), Settings(), queries=2, peers=PEERS)
    peers = {name for name in found.quality if name.startswith(("LlamaIndex", "Haystack"))}
    assert peers == {"LlamaIndex: BM25", "Haystack: BM25"}
