"""The embed and store stages: chunks become rows of the vector store and the search index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, compress

import numpy as np

from llmflow.ingestion.embedding import adopt, embed_rows
from llmflow.models.embedder import Embedder
from llmflow.models.sparse import analyze_chunks, encode
from llmflow.models.static_embedder import StaticEmbedder
from llmflow.schema import Chunk, Scope
from llmflow.settings import RetrievalSettings
from llmflow.stores.index import SearchIndex
from llmflow.stores.vectors import NO_EMBEDDER, ChunkRow, VectorStore

_EMBED_BATCH = 500


class Indexer:
    """Keeps the vector store and the search index in step; the only writer of both.

    Args:
        embedder: the embedder of the stored vectors, None while there is none.
    """

    def __init__(
        self, store: VectorStore, index: SearchIndex, settings: RetrievalSettings, embedder: Embedder | None
    ) -> None:
        self.store = store
        self.index = index
        self.embedder = embedder
        self._settings = settings

    def encode(self, chunks: Sequence[Chunk]) -> list[ChunkRow]:
        """Rows for this store; see :func:`encode_chunks`."""
        return encode_chunks(chunks, self._settings, self.embedder)

    def replace(self, scope: Scope, document_id: str, rows: Sequence[ChunkRow]) -> None:
        """The store stage: rows take the place of whatever the document had.

        Raises:
            ConfigurationError: the rows already there are of another embedder; nothing has changed.
            UpstreamError: the embedder's server failed; nothing has changed.
        """
        with self.store.writing():
            rows = self._embedded(rows)
            self.remove(scope, document_id)
            self._write(scope, rows)

    def add(self, scope: Scope, rows: Sequence[ChunkRow]) -> None:
        """Write rows of new documents; errors as :meth:`replace`."""
        with self.store.writing():
            self._write(scope, self._embedded(rows))

    def _embedded(self, rows: Sequence[ChunkRow]) -> list[ChunkRow]:
        """Rows with vectors of the embedder of the rows already there, which stays so under the lock."""
        if self.embedder is None and self.store.version != NO_EMBEDDER:
            self.swap(None)  # rows without vectors among those of an embedder would never get theirs
        if self.embedder is not None and adopt(self.store, self.embedder):
            self.index.replace_all([], self.store.version)
        return embed_rows(rows, self.embedder, self.store.dimensions)

    def _write(self, scope: Scope, rows: Sequence[ChunkRow]) -> None:
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

    def swap(self, embedder: Embedder | None, progress: Callable[[int, int], None] | None = None) -> None:
        """Embed every row with another embedder, or none, and swap the result in; readers see no gap.

        Args:
            progress: told the number of rows done and of rows in all.

        Raises:
            UpstreamError: the embedder's server failed; nothing has changed.
        """
        with self.store.writing():
            version = NO_EMBEDDER if embedder is None else embedder.version
            dimensions = self.store.default_dimensions if embedder is None else embedder.dimensions
            old, rows = list(self.store.rows()), list[ChunkRow]()
            for start in range(0, len(old), _EMBED_BATCH):
                rows += embed_rows(old[start : start + _EMBED_BATCH], embedder, dimensions)
                if progress is not None:
                    progress(len(rows), len(old))
            learns_terms = embedder is not None and embedder.learns_terms
            self.store.rebuild(version, rows, dimensions, learns_terms=learns_terms)
            self.index.replace_all(rows, version)
            self.embedder = embedder


def encode_chunks(chunks: Sequence[Chunk], settings: RetrievalSettings, embedder: Embedder | None) -> list[ChunkRow]:
    """The embed stage: rows with sparse vectors and, where a model makes them, embeddings.

    The trained embedder's are made when the rows are written: it may be swapped until then.

    Raises:
        UpstreamError: the embedder's server failed.
    """
    encoded = [encode(text, settings) for text in analyze_chunks(chunks)]
    rows = [
        ChunkRow(chunk, text.chunk, text.passages, np.zeros(0, np.float32))
        for chunk, text in zip(chunks, encoded, strict=True)
    ]
    model = None if isinstance(embedder, StaticEmbedder) else embedder
    return rows if model is None else embed_rows(rows, model, model.dimensions)
