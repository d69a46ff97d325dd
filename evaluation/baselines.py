"""Peers to measure against: BM25 by the bm25s library over two common tokenisations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import bm25s

from evaluation.beir import Dataset
from llmflow.korean import analyze

DEPTH = 100


def bm25_whitespace(data: Dataset) -> dict[str, dict[str, float]]:
    """BM25 over words split at white space, lower case: what most systems do."""
    return _run(data, lambda texts: [text.lower().split() for text in texts])


def bm25_kiwi(data: Dataset) -> dict[str, dict[str, float]]:
    """BM25 over kiwi's content morphemes, Snowball stems for English."""
    return _run(data, lambda texts: [[word for part in text for word in part.words] for text in analyze(texts)])


def _run(data: Dataset, tokenize: Callable[[Sequence[str]], list[list[str]]]) -> dict[str, dict[str, float]]:
    retriever = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    retriever.index(tokenize([f"{record.title} {record.text}" for record in data.corpus]), show_progress=False)
    ids = [record.id for record in data.corpus]
    run = {}
    for query, tokens in zip(data.queries, tokenize(list(data.queries.values())), strict=True):
        scores = retriever.get_scores(tokens) if tokens else []
        best = sorted(range(len(scores)), key=lambda row: -scores[row])[:DEPTH]
        run[query] = {ids[row]: float(scores[row]) for row in best if scores[row] > 0}
    return run
