"""Which embedder goes on writing a collection, and how rows get its vectors.

A collection keeps to the embedder that wrote it: vectors of two do not compare. Only
``llmflow reindex`` replaces it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from llmflow.errors import ConfigurationError, UpstreamError
from llmflow.models.embedder import Embedder, EmbedderInput, document_text
from llmflow.models.static_embedder import STATIC, StaticEmbedder
from llmflow.settings import EmbedderSettings
from llmflow.stores.vectors import NO_EMBEDDER, ChunkRow, VectorStore


def embed_rows(rows: Sequence[ChunkRow], embedder: Embedder | None, dimensions: int) -> list[ChunkRow]:
    """Rows with the embedder's vectors; those that have them already stay as they are.

    Args:
        dimensions: width of the zeros that stand for a vector where there is no embedder.

    Raises:
        UpstreamError: the embedder's server failed.
    """
    if embedder is None:
        zeros = np.zeros(dimensions, np.float32)
        return [replace(row, embedding=zeros, learned={}, embedder=NO_EMBEDDER) for row in rows]
    version = embedder.version
    missing = [at for at, row in enumerate(rows) if row.embedder != version]
    if not missing:
        return list(rows)
    embedded = embedder.documents([EmbedderInput(document_text(rows[at].chunk), rows[at].lexical) for at in missing])
    learned = embedded.sparse or ({},) * len(missing)
    done = list(rows)
    for at, vector, weights in zip(missing, embedded.dense, learned, strict=True):
        done[at] = replace(rows[at], embedding=vector, learned=weights, embedder=version)
    return done


def writer_of(store: VectorStore, settings: EmbedderSettings, folder: Path, model: Embedder | None) -> Embedder | None:
    """The embedder of the settings, if it goes on writing the collection; None while there is none.

    Args:
        folder: where trained embedders are kept.
        model: the model of the settings, where they name one.

    Raises:
        ConfigurationError: another embedder wrote the collection, or the one that did is gone.
    """
    if model is None:
        if store.version != NO_EMBEDDER and not store.version.startswith(STATIC):
            if not store.is_empty():
                raise refused(store.version, settings.provider)
            store.rebuild(NO_EMBEDDER, [], store.default_dimensions)
        return load_embedder(folder, store.version) if settings.provider == "static" else None
    try:
        adopt(store, model)
    except UpstreamError:
        # Its server is away: a question goes without it and a document waits, unless it cannot be the writer anyway.
        if not store.version.startswith(f"{settings.provider}_") and not store.is_empty():
            raise refused(store.version, settings.provider) from None
    return model


def adopt(store: VectorStore, embedder: Embedder) -> bool:
    """Have the collection belong to ``embedder``; whether it was made anew for it, being empty.

    Raises:
        ConfigurationError: another embedder wrote what is in it.
        UpstreamError: the embedder's server does not say what it serves.
    """
    version = embedder.version
    if store.version == version:
        return False
    if not store.is_empty():
        raise refused(store.version, version)
    store.rebuild(version, [], embedder.dimensions, learns_terms=embedder.learns_terms)
    return True


def load_embedder(folder: Path, version: str) -> StaticEmbedder | None:
    """The trained embedder that wrote the store's vectors; None where they were written without one.

    Raises:
        ConfigurationError: its folder is gone.
    """
    if version == NO_EMBEDDER:
        return None
    if not (folder / version).is_dir():
        raise ConfigurationError(
            f"the stored vectors were written by embedder {version}, but {folder / version} is gone; restore it from a"
            " backup, or set embedder.provider to none (`llmflow train-embedder` then makes a new one)",
            param="data_dir",
        )
    return StaticEmbedder.load(folder / version)


def refused(written_by: str, wanted: str) -> ConfigurationError:
    """A collection of another embedder than the settings name."""
    return ConfigurationError(
        f"the stored chunks were embedded by {written_by}, the settings name {wanted} (embedder.provider); set it back,"
        " or run `llmflow reindex` to embed them anew",
        param="embedder.provider",
    )
