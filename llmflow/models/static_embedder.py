"""A static bi-encoder: a text's vector is the weighted sum of its terms' vectors.

It has no layers, so a question costs well under a millisecond and nothing but numpy; what it
knows comes from the corpus it was trained on (see :mod:`llmflow.models.static_training`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from llmflow.errors import ConfigurationError
from llmflow.models.embedder import Embedded, EmbedderInput
from llmflow.models.sparse import SparseVector
from llmflow.settings import TrainingSettings

Floats = NDArray[np.float32]

STATIC = "static_"
"""What every version of a static embedder begins with."""

_MAX_TERMS = 256
_BATCH = 1024
_ARRAYS = ("terms", "idf", "table")
_METADATA = "metadata.json"


@dataclass(frozen=True, eq=False)
class StaticEmbedder:
    """A trained term table. Immutable, safe to use from many threads.

    Args:
        terms: (vocabulary,) uint32, dimensions of :mod:`llmflow.models.sparse`, ascending.
        idf: (vocabulary,) float32.
        table: (vocabulary, dimensions) float32, a vector for each term.
        trained_on: number of texts it was trained on.
        settings: what it was trained with.
        created: when the training ended.
    """

    terms: NDArray[np.uint32]
    idf: Floats
    table: Floats
    trained_on: int
    settings: TrainingSettings
    created: datetime

    @property
    def dimensions(self) -> int:
        """Width of the vectors."""
        return int(self.table.shape[1])

    @cached_property
    def version(self) -> str:
        """A hash of everything the vectors depend on; vectors of different versions do not mix."""
        digest = hashlib.sha256()
        for array in (self.terms, self.idf, self.table):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return f"{STATIC}{digest.hexdigest()[:16]}"

    @property
    def learns_terms(self) -> bool:
        """No: its texts are term frequencies already."""
        return False

    def documents(self, texts: Sequence[EmbedderInput]) -> Embedded:
        """Vectors of texts, of their terms alone."""
        return Embedded(self.encode([text.terms for text in texts]), self.version)

    def query(self, text: EmbedderInput, deadline: float | None = None) -> Embedded:
        """Vector of one question, of its terms alone."""
        return self.documents([text])

    def encode(self, texts: Sequence[SparseVector]) -> Floats:
        """Vectors of texts given as weighted term frequencies.

        Returns:
            (texts, dimensions) float32, each of length 1, so that inner products are cosines; a
            text without a single known term is a row of zeros.
        """
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for begin in range(0, len(texts), _BATCH):
            batch = texts[begin : begin + _BATCH]
            vectors[begin : begin + _BATCH] = weigh(self._counts(batch), self.idf) @ self.table
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(np.divide(vectors, norms, out=vectors, where=norms > 0))

    def save(self, folder: Path) -> None:
        """Write to ``folder`` in one step: a crash leaves either all of it or nothing there.

        What was there before is replaced.
        """
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            new = scratch / "new"
            new.mkdir()
            for name in _ARRAYS:
                np.save(new / f"{name}.npy", getattr(self, name), allow_pickle=False)
            (new / _METADATA).write_text(json.dumps(self._metadata(), indent=2), encoding="utf-8")
            for path in new.iterdir():
                _sync(path)
            if folder.exists():
                folder.rename(scratch / "old")
            new.rename(folder)
            _sync(folder.parent)
        finally:
            shutil.rmtree(scratch)

    @classmethod
    def load(cls, folder: Path) -> StaticEmbedder:
        """Read what :meth:`save` wrote.

        Raises:
            ConfigurationError: a file is missing or is not what was saved.
        """
        try:
            metadata = json.loads((folder / _METADATA).read_text(encoding="utf-8"))
            arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in _ARRAYS}
            embedder = cls(
                **arrays,
                trained_on=metadata["trained_on"],
                settings=TrainingSettings(**metadata["settings"]),
                created=datetime.fromisoformat(metadata["created"]),
            )
            intact = embedder.version == metadata["version"]
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise _unusable(folder, str(error)) from error
        if not intact:
            raise _unusable(folder, "its files do not match their checksum")
        return embedder

    def _metadata(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "trained_on": self.trained_on,
            "vocabulary": len(self.terms),
            "dimensions": self.dimensions,
            "created": self.created.isoformat(),
            "settings": self.settings.model_dump(mode="json"),
        }

    def _counts(self, texts: Sequence[SparseVector]) -> sp.csr_array:
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        total = int(lengths.sum())
        terms = np.fromiter(chain.from_iterable(texts), np.uint32, total)
        counts = np.fromiter(chain.from_iterable(text.values() for text in texts), np.float32, total)
        columns = np.searchsorted(self.terms, terms)
        known = self.terms[np.minimum(columns, len(self.terms) - 1)] == terms
        ends = np.concatenate([[0], np.cumsum(known)])[np.concatenate([[0], np.cumsum(lengths)])]
        return sp.csr_array((counts[known], columns[known], ends), shape=(len(texts), len(self.terms)))


def weigh(counts: sp.csr_array, idf: Floats) -> sp.csr_array:
    """Term weights: damped frequency x idf, of the 256 heaviest terms of each text.

    A frequency above 1 is damped to 1 + ln frequency.

    Args:
        counts: (texts, vocabulary) weighted term frequencies, each term once a row.
        idf: (vocabulary,).
    """
    data = counts.data
    data = np.where(data > 1, 1 + np.log(np.maximum(data, 1)), data) * idf[counts.indices]
    keep = np.ones(data.size, dtype=bool)
    for row in np.flatnonzero(np.diff(counts.indptr) > _MAX_TERMS):
        begin, end = counts.indptr[row : row + 2]
        surplus = end - begin - _MAX_TERMS
        keep[begin + np.argpartition(data[begin:end], surplus)[:surplus]] = False
    ends = np.concatenate([[0], np.cumsum(keep)])[counts.indptr]
    return sp.csr_array((data[keep], counts.indices[keep], ends), shape=counts.shape)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(folder: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"no usable embedder in {folder}: {reason}; run `llmflow train-embedder` to make a new one", param=str(folder)
    )
