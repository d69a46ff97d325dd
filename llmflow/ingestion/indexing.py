"""The embed and store stages: chunks become rows of the vector store and the search index."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, compress

import numpy as np

from llmflow.models.sparse import analyze_chunks, encode
from llmflow.models.static_embedder import StaticEmbedder
from llmflow.schema import Chunk, Scope
from llmflow.settings import RetrievalSettings
from llmflow.stores.index import SearchIndex
from llmflow.stores.vectors import ChunkRow, VectorStore


class Indexer:
    """Keeps the vector store and the search index in step; the only writer of both.

    Args:
        embedder: the embedder of the stored vectors, None while there is none.
    """

    def __init__(
        self, store: VectorStore, index: SearchIndex, settings: RetrievalSettings, embedder: StaticEmbedder | None
    ) -> None:
        self.store = store
        self.index = index
        self.embedder = embedder
        self._settings = settings

    def encode(self, chunks: Sequence[Chunk]) -> list[ChunkRow]:
        """Rows for this store; their embeddings are still zero."""
        return encode_chunks(chunks, self._settings, self.store.dimensions)

    def replace(self, scope: Scope, document_id: str, rows: Sequence[ChunkRow]) -> None:
        """The store stage: rows take the place of whatever the document had."""
        with self.store.writing():
            self.remove(scope, document_id)
            self.add(scope, rows)

    def add(self, scope: Scope, rows: Sequence[ChunkRow]) -> None:
        """Write rows of new documents."""
        with self.store.writing():
            # Under the lock, so that the embedder is the one of the rows already there.
            rows = _embed(rows, self.embedder)
            self.store.upsert(scope, rows)
            self.index.upsert(rows)

    def remove(self, scope: Scope, document_id: str) -> None:
        """Remove a document's chunks from store and index."""
        with self.store.writing():
            self.store.delete_document(scope, document_id)
            self.index.delete_document(scope, document_id)

    def counts(self, scope: Scope) -> Mapping[str, int]:
        """How many chunks each document of a scope has."""
        segments = self.index.view(scope).segments
        return Counter(chain.from_iterable(compress(segment.documents, segment.live) for segment in segments))

    def swap(self, embedder: StaticEmbedder) -> None:
        """Embed every row with another embedder and swap the result in; readers see no gap."""
        with self.store.writing():
            rows = _embed(list(self.store.rows()), embedder)
            self.store.rebuild(embedder.version, rows)
            self.index.replace_all(rows, embedder.version)
            self.embedder = embedder


def encode_chunks(chunks: Sequence[Chunk], settings: RetrievalSettings, dimensions: int) -> list[ChunkRow]:
    """Rows with sparse vectors; their embeddings, ``dimensions`` wide, are still zero."""
    encoded = [encode(text, settings) for text in analyze_chunks(chunks)]
    return [
        ChunkRow(chunk, text.chunk, text.passages, np.zeros(dimensions, np.float32))
        for chunk, text in zip(chunks, encoded, strict=True)
    ]


def _embed(rows: Sequence[ChunkRow], embedder: StaticEmbedder | None) -> list[ChunkRow]:
    """Rows with the embedder's vectors, made from their sparse vectors."""
    if embedder is None or not rows:
        return list(rows)
    vectors = embedder.encode([row.lexical for row in rows])
    return [dataclasses.replace(row, embedding=vector) for row, vector in zip(rows, vectors, strict=True)]
