"""Training the embedded dense leg on what is ingested, beside the running service.

Versions live in folders named after them. A version is saved before the vector store is
switched to it and older ones are removed afterwards, so whatever moment a process dies at,
the version the store names can be loaded.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from llmflow.errors import ConfigurationError, InvalidInputError
from llmflow.ingestion.indexing import Indexer
from llmflow.korean import AnalyzedText
from llmflow.models.sparse import analyze_chunks
from llmflow.models.static_embedder import StaticEmbedder
from llmflow.models.static_training import train
from llmflow.schema import Chunk
from llmflow.settings import EmbedderSettings

_ANALYZE_BATCH = 500

Progress = Callable[[int, int], None]
"""Told how many steps are done and how many there are."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training: the embedder's version and the number of chunks it has seen."""

    version: str
    chunks: int


class EmbedderTrainer:
    """Trains, versions and swaps the static embedder of one indexer.

    Args:
        folder: where versions are kept.
    """

    def __init__(self, folder: Path, settings: EmbedderSettings, indexer: Indexer) -> None:
        self._folder = folder
        self._enabled = settings.provider == "static"
        self._model = settings.provider if settings.provider not in ("static", "none") else None
        self._settings = settings.training
        self._indexer = indexer
        self._running = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def due(self) -> bool:
        """Whether the corpus is large enough and has grown enough to train."""
        if not self._enabled:
            return False
        chunks = self._indexer.index.count()
        embedder = self._indexer.embedder
        seen = embedder.trained_on if isinstance(embedder, StaticEmbedder) else 0
        return chunks >= max(self._settings.min_chunks, seen * (1 + self._settings.growth))

    def train(self, progress: Progress | None = None) -> Trained | None:
        """Train on every chunk there is and swap the result in; None where :meth:`close` cut it short.

        Raises:
            InvalidInputError: there are too few chunks, or a training runs already.
            ConfigurationError: the settings name an embedder that is not trained.
        """
        if self._model:
            raise ConfigurationError(
                f"embedder.provider is {self._model}, which is not trained here; only static is",
                param="embedder.provider",
            )
        if not self._running.acquire(blocking=False):
            raise InvalidInputError("an embedder is being trained already; wait for it to end")
        try:
            chunks = self._indexer.index.count()
            if chunks < 2:
                raise InvalidInputError(f"there are {chunks} chunks, too few to train on; ingest documents first")
            embedder = train(self._texts(), self._settings, progress, self._stop)
            if embedder is None:
                return None
            embedder.save(self._folder / embedder.version)
            self._indexer.swap(embedder)
            for old in self._folder.iterdir():
                if old.name != embedder.version:
                    shutil.rmtree(old, ignore_errors=True)
            return Trained(embedder.version, embedder.trained_on)
        finally:
            self._running.release()

    def train_in_background(self) -> None:
        """Start a training in a thread, if one is due and none runs."""
        if self.due() and not self._running.locked():
            self._thread = threading.Thread(target=self.train, name="train-embedder", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait for the training in the background, if one runs."""
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Stop the training in the background; what the store holds stays as it is."""
        self._stop.set()
        self.wait()

    def _texts(self) -> Iterator[AnalyzedText]:
        batch: list[Chunk] = []
        for row in self._indexer.store.rows():
            batch.append(row.chunk)
            if len(batch) == _ANALYZE_BATCH:
                yield from analyze_chunks(batch)
                batch = []
        yield from analyze_chunks(batch)
