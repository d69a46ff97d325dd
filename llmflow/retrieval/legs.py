"""Candidate legs: each gives every row a score, higher being better."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from llmflow.korean import AnalyzedText
from llmflow.models.sparse import STREAMS, encode_query
from llmflow.models.static_embedder import StaticEmbedder
from llmflow.retrieval.analysis import AnalyzedQuery
from llmflow.settings import RetrievalSettings
from llmflow.stores.index import LEVELS, LegScores, View

Leg = Callable[[], LegScores]

REFERENCE = "reference"
DENSE = "dense"
LEXICAL = tuple(f"{level}_{stream}" for level in LEVELS for stream in STREAMS)
"""BM25 over two token streams, of whole chunks and of the best passage in each."""


def lexical_legs(view: View, text: AnalyzedText, settings: RetrievalSettings) -> dict[str, Leg]:
    """The four lexical legs of a question, by name."""
    vectors = encode_query(text.body)

    def leg(level: str, stream: str) -> Leg:
        return lambda: view.lexical(level, vectors[stream], settings.k1, settings.b)  # type: ignore[arg-type,index]

    return {f"{level}_{stream}": leg(level, stream) for level in LEVELS for stream in STREAMS}


def dense_leg(view: View, text: AnalyzedText, embedder: StaticEmbedder) -> Leg:
    """Cosine of question and chunk in the embedder's space."""

    def search() -> LegScores:
        if view.version not in (None, embedder.version):
            raise RuntimeError("the embedder is being swapped; ask again")
        vectors = encode_query(text.body)
        return view.dense(embedder.encode([{key: tf for vector in vectors.values() for key, tf in vector.items()}])[0])

    return search


def reference_leg(view: View, analyzed: AnalyzedQuery) -> Leg:
    """1 for the chunks of a statute article the question names, 0 for all others."""

    def look_up() -> LegScores:
        scores = np.zeros(len(view.live), dtype=np.float32)
        for law, article in analyzed.query.references:
            scores[view.article(law, article)] = 1.0
        return LegScores(scores, 1.0)

    return look_up
