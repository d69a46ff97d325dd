"""Embedding everything anew, after the settings have come to name another embedder."""

from __future__ import annotations

from dataclasses import dataclass

from llmflow.ingestion.indexing import Indexer
from llmflow.ingestion.training import EmbedderTrainer, Progress
from llmflow.models.embedder import Embedder
from llmflow.models.static_embedder import STATIC
from llmflow.settings import EmbedderSettings


@dataclass(frozen=True, slots=True)
class Reindexed:
    """Versions of the embedder before and after, the same where nothing was to be done, and the chunks there are."""

    before: str
    after: str
    chunks: int


def reindex(
    indexer: Indexer,
    trainer: EmbedderTrainer,
    model: Embedder | None,
    settings: EmbedderSettings,
    progress: Progress | None = None,
) -> Reindexed:
    """Embed every chunk with the embedder of the settings, into a collection beside the old one, and swap it in.

    Readers see the old one until then, and a killed run leaves it as it was. ``static`` is trained
    if there are chunks enough; otherwise the chunks go without vectors until there are.

    Args:
        indexer: over the collection, whoever wrote it.
        model: the model of the settings; None for ``static`` and ``none``.

    Raises:
        UpstreamError: the model's server failed; nothing has changed.
    """
    before = indexer.store.version
    trained = settings.provider == "static"
    if model is not None:
        if model.version != before:
            indexer.swap(model, progress)
    elif not (trained and before.startswith(STATIC)):
        if trained and indexer.index.count() >= settings.training.min_chunks:
            trainer.train(progress)
        else:
            indexer.swap(None, progress)
    return Reindexed(before, indexer.store.version, indexer.index.count())
