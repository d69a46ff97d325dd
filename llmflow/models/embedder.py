"""What every embedder does: texts to dense vectors and, where the model learned them, to sparse ones."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from llmflow.errors import ConfigurationError
from llmflow.models.sparse import SparseVector
from llmflow.schema import Chunk
from llmflow.settings import EmbedderSettings

Floats = NDArray[np.float32]

_NAME_LENGTH = 80


@dataclass(frozen=True, slots=True)
class EmbedderInput:
    """A text in both forms an embedder may read: as written, and as weighted term frequencies."""

    text: str
    terms: SparseVector


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """Vectors of n texts.

    ``dense`` is float32 of shape (n, dimensions); rows have length 1, or 0 where the embedder knows
    nothing of a text. ``version`` is that of the embedder when it made them. ``sparse`` holds learned
    term weights, all positive, a vector a text; None where the embedder has none.
    """

    dense: Floats
    version: str
    sparse: tuple[SparseVector, ...] | None = None


class Embedder(Protocol):
    """Safe to use from many threads."""

    @property
    def version(self) -> str:
        """Names provider, model and dimensions; vectors of different versions do not mix. [A-Za-z0-9_] only.

        Raises:
            UpstreamError: the model's server does not say what it serves.
        """

    @property
    def dimensions(self) -> int:
        """Width of the dense vectors; errors as ``version``."""

    @property
    def learns_terms(self) -> bool:
        """Whether it gives learned sparse vectors too; errors as ``version``."""

    def documents(self, texts: Sequence[EmbedderInput]) -> Embedded:
        """Vectors of texts to be found.

        Raises:
            UpstreamError: the model's server failed.
        """

    def query(self, text: EmbedderInput, deadline: float | None = None) -> Embedded:
        """Vectors of one question, n = 1, by ``deadline`` (``time.monotonic()``) where its server can be held to it.

        Raises:
            UpstreamError: the model's server failed or was too slow.
            DeadlineError: the model in this process was busy until then.
        """


class Once:
    """A value that is made when first asked for; who asks meanwhile waits. An error is kept like a value."""

    def __init__(self, make: Callable[[], Embedded]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: Embedded | Exception | None = None

    def __call__(self) -> Embedded:
        with self._lock:
            if self._made is None:
                try:
                    self._made = self._make()
                except Exception as error:
                    self._made = error
            if isinstance(self._made, Exception):
                raise self._made
            return self._made


def document_text(chunk: Chunk) -> str:
    """What a model reads of a chunk: a line of its titles, then its text."""
    titles = " > ".join(dict.fromkeys(filter(None, (chunk.title, *chunk.section_path))))
    return f"{titles}\n{chunk.text}" if titles else chunk.text


def name_part(text: str) -> str:
    """A model's name in the letters a version may have."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:_NAME_LENGTH]


def unit_rows(vectors: Floats) -> Floats:
    """Rows of (n, d) at length 1; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0))


def open_embedder(settings: EmbedderSettings) -> Embedder | None:
    """The model that the settings name; None for ``none``, and for ``static``, which is trained on the documents.

    Raises:
        ConfigurationError: the model cannot be loaded, or ``base_url`` is missing.
    """
    if settings.provider == "bge-m3":
        from llmflow.models.bge_m3 import BgeM3Embedder

        return BgeM3Embedder(settings)
    if settings.provider == "tei":
        from llmflow.models.tei import TeiEmbedder

        if not settings.base_url:
            raise ConfigurationError(
                "embedder.base_url is not set; give the address of the TEI server, e.g. http://localhost:8081",
                param="embedder.base_url",
            )
        return TeiEmbedder(settings, settings.base_url)
    return None
