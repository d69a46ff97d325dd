"""Candidate legs: each gives every row a score, higher being better."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from llmflow.errors import ConfigurationError
from llmflow.korean import AnalyzedText
from llmflow.models.embedder import Embedded, Embedder, EmbedderInput, Once
from llmflow.models.sparse import STREAMS, encode_query
from llmflow.models.static_embedder import STATIC
from llmflow.retrieval.analysis import AnalyzedQuery
from llmflow.settings import RetrievalSettings
from llmflow.stores.index import LEVELS, LegScores, View
from llmflow.stores.vectors import NO_EMBEDDER

Leg = Callable[[], LegScores]

REFERENCE = "reference"
DENSE = "dense"
SPARSE = "sparse"
GRAPH = "graph"
SPREAD = "spread"
MEMORY = "memory"
LEXICAL = tuple(f"{level}_{stream}" for level in LEVELS for stream in STREAMS)
"""BM25 over two token streams, of whole chunks and of the best passage in each."""


def lexical_legs(view: View, text: AnalyzedText, settings: RetrievalSettings) -> dict[str, Leg]:
    """The four lexical legs of a question, by name."""
    vectors = encode_query(text.body)

    def leg(level: str, stream: str) -> Leg:
        return lambda: view.lexical(level, vectors[stream], settings.k1, settings.b)  # type: ignore[arg-type,index]

    return {f"{level}_{stream}": leg(level, stream) for level in LEVELS for stream in STREAMS}


def embedding_legs(
    view: View, analyzed: AnalyzedQuery, embedder: Embedder, settings: RetrievalSettings
) -> dict[str, Leg]:
    """The legs that compare the embedder's vectors, by name; the question is embedded once for all of them."""

    def embed() -> Embedded:
        deadline = time.monotonic() + settings.leg_timeout_s
        terms = {key: tf for vector in encode_query(analyzed.text.body).values() for key, tf in vector.items()}
        embedded = embedder.query(EmbedderInput(analyzed.query.text, terms), deadline)
        if view.version not in (None, embedded.version):
            raise _not_comparable(view.version, embedded.version)
        return embedded

    question = Once(embed)
    legs: dict[str, Leg] = {}
    if settings.dense_weight > 0:
        legs[DENSE] = dense_leg(view, question)
    if settings.sparse_weight > 0 and view.learns_terms:
        legs[SPARSE] = sparse_leg(view, question)
    return legs


def _not_comparable(written_by: str | None, now: str) -> Exception:
    if now.startswith(STATIC) or written_by == NO_EMBEDDER:
        return RuntimeError("the embedder is being swapped; ask again")
    return ConfigurationError(
        f"the stored chunks were embedded by {written_by}, but {now} answers now (embedder.provider); set it back, or"
        " run `llmflow reindex` to embed them anew",
        param="embedder.provider",
    )


def dense_leg(view: View, question: Callable[[], Embedded]) -> Leg:
    """Cosine of question and chunk in the embedder's space."""
    return lambda: view.dense(question().dense[0])


def sparse_leg(view: View, question: Callable[[], Embedded]) -> Leg:
    """Inner product of the term weights an embedder learned (SPLADE, BGE-M3), over the highest one possible."""

    def search() -> LegScores:
        learned = question().sparse
        return view.learned(learned[0] if learned else {})

    return search


def reference_leg(view: View, analyzed: AnalyzedQuery) -> Leg:
    """1 for the chunks of a statute article the question names, 0 for all others."""

    def look_up() -> LegScores:
        scores = np.zeros(len(view.live), dtype=np.float32)
        for law, article in analyzed.query.references:
            scores[view.article(law, article)] = 1.0
        return LegScores(scores, 1.0)

    return look_up
