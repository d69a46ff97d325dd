from __future__ import annotations

from pathlib import Path

import pytest
from sets import write, write_set

from evaluation.beir import Record, load
from llmflow.errors import InvalidInputError

CORPUS = [
    {"_id": "d1", "title": "휴가", "text": "연차휴가\n15일", "metadata": {"path": ["제1장", "제2조"]}},
    {"_id": "d2", "text": "no title", "title": None, "metadata": None},
    {"_id": "d3", "text": ""},
]
QUERIES = {"q1": "며칠?", "q2": "unjudged", "q3": "other split"}


@pytest.mark.parametrize("packed", [False, True])
def test_a_set_is_read_packed_or_plain(tmp_path: Path, packed: bool) -> None:
    folder = write_set(tmp_path / "집합", CORPUS, QUERIES, {"q1": {"d1": 2, "d3": 0}}, packed=packed)
    data = load(folder, "test")
    assert (data.name, data.split) == ("집합", "test")
    assert data.corpus == [
        Record("d1", "휴가", "연차휴가\n15일", ("제1장", "제2조")),
        Record("d2", "", "no title"),
        Record("d3", "", ""),
    ]
    assert data.queries == {"q1": "며칠?"}
    assert data.qrels == {"q1": {"d1": 2, "d3": 0}}


def test_splits_are_apart_and_may_have_queries_of_their_own(tmp_path: Path) -> None:
    write_set(tmp_path, CORPUS, QUERIES, {"q3": {"d2": 1}}, split="dev")
    write(tmp_path / "qrels" / "test.tsv", "q1\td1\t1\nq9\td2\t1\n")
    write(tmp_path / "queries-test.jsonl", '{"_id": "q9", "text": "only here"}\n\n')
    assert load(tmp_path, "dev").queries == {"q3": "other split"}
    assert load(tmp_path, "test").queries == {"q1": "며칠?", "q9": "only here"}


def test_a_missing_split_lists_those_there_are(tmp_path: Path) -> None:
    write_set(tmp_path, CORPUS, QUERIES, {"q1": {"d1": 1}}, split="train")
    write_set(tmp_path, CORPUS, QUERIES, {"q1": {"d1": 1}}, split="dev", packed=True)
    with pytest.raises(InvalidInputError, match="no split 'test'; found: dev, train") as error:
        load(tmp_path, "test")
    assert error.value.param == "split"


@pytest.mark.parametrize(
    ("file", "text", "place"),
    [
        ("corpus.jsonl", '{"_id": "d1", "text": "ok"}\n{"_id": "d2"\n', "corpus.jsonl line 2"),
        ("corpus.jsonl", '{"_id": "d1"}\n', "corpus.jsonl line 1"),
        ("queries.jsonl", '["q1", "text"]\n', "queries.jsonl line 1"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1 d1 1\n", "test.tsv line 2"),
        ("qrels/test.tsv", "q1\td1\t1\nq1\td2\tyes\n", "test.tsv line 2"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, file: str, text: str, place: str) -> None:
    write_set(tmp_path, CORPUS, QUERIES, {"q1": {"d1": 1}})
    write(tmp_path / file, text)
    with pytest.raises(InvalidInputError, match=place):
        load(tmp_path, "test")


def test_folders_that_are_no_sets(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"no corpus\.jsonl"):
        load(tmp_path, "test")
    with pytest.raises(InvalidInputError):
        load(tmp_path / "nowhere", "test")
    write_set(tmp_path, CORPUS, QUERIES, {"q7": {"d1": 1}})
    with pytest.raises(InvalidInputError, match="no query judged in split 'test'"):
        load(tmp_path, "test")
