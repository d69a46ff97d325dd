"""Retrieval sets in BEIR's form: corpus.jsonl, queries.jsonl, qrels/<split>.tsv, gzip or not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmflow.errors import InvalidInputError

Qrels = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Record:
    """A document of the corpus; ``path`` is the section path some sets keep in the metadata."""

    id: str
    title: str
    text: str
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dataset:
    """A corpus, the queries of one split and their judgments {query: {document: grade}}."""

    name: str
    split: str
    corpus: list[Record]
    queries: dict[str, str]
    qrels: Qrels


def load(folder: Path, split: str) -> Dataset:
    """Read a set; only judged queries are kept.

    Raises:
        InvalidInputError: a file is missing or a line is malformed.
    """
    corpus = [
        Record(row["_id"], row.get("title") or "", row["text"], tuple((row.get("metadata") or {}).get("path") or ()))
        for row in _rows(folder, "corpus")
    ]
    qrels = _qrels(folder, split)
    names = [name for name in ("queries", f"queries-{split}") if _find(folder, name)]
    queries = {row["_id"]: row["text"] for name in names for row in _rows(folder, name) if row["_id"] in qrels}
    if not queries:
        raise InvalidInputError(f"{folder} has no query judged in split {split!r}", param="split")
    return Dataset(folder.resolve().name, split, corpus, queries, {query: qrels[query] for query in queries})


def _find(folder: Path, name: str, suffix: str = ".jsonl") -> Path | None:
    return next((path for gz in ("", ".gz") if (path := folder / (name + suffix + gz)).is_file()), None)


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            yield line.rstrip("\n")


def _rows(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    path = _find(folder, name)
    if path is None:
        raise InvalidInputError(f"{folder} has no {name}.jsonl or {name}.jsonl.gz; name a folder in BEIR's form")
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            row["_id"], row["text"]
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInputError(f"{path} line {number}: not a record with _id and text ({error!r})") from error
        yield row


def _qrels(folder: Path, split: str) -> Qrels:
    path = _find(folder / "qrels", split, ".tsv")
    if path is None:
        splits = {file.name.partition(".tsv")[0] for file in (folder / "qrels").glob("*.tsv*")}
        found = ", ".join(sorted(splits)) or "none"
        raise InvalidInputError(f"{folder} has no split {split!r}; found: {found}", param="split")
    qrels: Qrels = {}
    for number, line in enumerate(_lines(path), 1):
        query, document, grade = [*line.split("\t"), "", ""][:3]
        if number == 1 and not grade.lstrip("-").isdigit():
            continue
        if not grade.lstrip("-").isdigit():
            raise InvalidInputError(f"{path} line {number}: {line!r} is not query, document, grade joined by tabs")
        qrels.setdefault(query, {})[document] = int(grade)
    return qrels
