"""Text Embeddings Inference over HTTP: ``/info``, ``/embed`` and, where the server has it, ``/embed_sparse``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmflow.errors import UpstreamError
from llmflow.models.embedder import Embedded, EmbedderInput, Floats, name_part, unit_rows
from llmflow.models.serving import ModelServer, excerpt
from llmflow.models.sparse import SparseVector
from llmflow.settings import EmbedderSettings

_PROBE = "dimensions"


@dataclass(frozen=True, slots=True)
class _Served:
    """What a server serves: its answer at ``/info``, and what it was found to do."""

    info: dict[str, Any]
    dimensions: int
    learns_terms: bool
    batch_size: int

    @property
    def version(self) -> str:
        terms = "_sparse" if self.learns_terms else ""
        return f"tei_{name_part(self.info['model_id'])}_{self.dimensions}{terms}"


class TeiEmbedder:
    """The model a TEI server serves. The server is first called when something is asked of it."""

    def __init__(self, settings: EmbedderSettings, base_url: str) -> None:
        self._settings = settings
        self._server = ModelServer("embedding server", base_url, settings.api_key, settings, "embedder.base_url")
        self._known: _Served | None = None
        self._failure: UpstreamError | None = None  # since the server last said what it serves

    @property
    def version(self) -> str:
        """Of the model the server names, not of the setting."""
        return self._served.version

    @property
    def dimensions(self) -> int:
        """Width of the vectors."""
        return self._served.dimensions

    @property
    def learns_terms(self) -> bool:
        """Whether ``/embed_sparse`` answers: with SPLADE models, and servers that have it for BGE-M3."""
        return self._served.learns_terms

    def documents(self, texts: Sequence[EmbedderInput]) -> Embedded:
        """Vectors of texts to be found; the server cuts long ones."""
        return self._embed([text.text for text in texts], None)

    def query(self, text: EmbedderInput, deadline: float | None = None) -> Embedded:
        """Vectors of one question."""
        return self._embed([self._settings.query_prefix + text.text], deadline)

    def _embed(self, texts: Sequence[str], deadline: float | None) -> Embedded:
        served = self._ask(deadline)
        dense: list[Floats] = []
        sparse: list[SparseVector] = []
        try:
            for start in range(0, len(texts), served.batch_size):
                batch = texts[start : start + served.batch_size]
                dense.append(self._dense(batch, served.dimensions, deadline))
                if served.learns_terms:
                    sparse += self._sparse(batch, deadline)
        except UpstreamError as error:
            self._failure = error
            raise
        vectors = np.concatenate(dense) if dense else np.empty((0, served.dimensions), np.float32)
        return Embedded(unit_rows(vectors), served.version, tuple(sparse) if served.learns_terms else None)

    @property
    def _served(self) -> _Served:
        """As :meth:`_ask`; while the server is away, what it last said."""
        try:
            return self._ask(None)
        except UpstreamError:
            if self._known is None:
                raise
            return self._known

    def _ask(self, deadline: float | None) -> _Served:
        """What the server serves; it is asked first, and after a failure: it may come back with another model."""
        known, failure = self._known, self._failure
        if known is not None and failure is None:
            return known
        info = self._server.get("/info", deadline)
        if not isinstance(info, dict) or not isinstance(info.get("model_id"), str):
            raise self._odd("/info", info, "an object with model_id")
        if known is None or known.info != info:
            known = self._probe(info, deadline)
        self._known = known
        if self._failure is failure:
            self._failure = None
        return known

    def _probe(self, info: dict[str, Any], deadline: float | None) -> _Served:
        limit = info.get("max_client_batch_size")
        batch_size = min(self._settings.batch_size, limit) if isinstance(limit, int) and limit > 0 else None
        return _Served(
            info,
            self._dense([_PROBE], None, deadline).shape[1],
            self._has_sparse(deadline),
            batch_size or self._settings.batch_size,
        )

    def _has_sparse(self, deadline: float | None) -> bool:
        try:
            self._sparse([_PROBE], deadline)
        except UpstreamError as error:
            if 400 <= error.details.get("status", 0) < 500:  # TEI has the path, and refuses it for most models
                return False
            raise
        return True

    def _dense(self, texts: Sequence[str], dimensions: int | None, deadline: float | None) -> Floats:
        answer = self._server.post("/embed", {"inputs": texts, "normalize": True, "truncate": True}, deadline)
        try:
            vectors = np.array(answer, dtype=np.float32)
        except (ValueError, TypeError):
            vectors = np.empty(0, np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise self._odd("/embed", answer, f"{len(texts)} vectors of numbers")
        if dimensions is not None and vectors.shape[1] != dimensions:
            self._known = None
            raise self._odd("/embed", answer, f"vectors of {dimensions} numbers, as before")
        return vectors

    def _sparse(self, texts: Sequence[str], deadline: float | None) -> list[SparseVector]:
        answer = self._server.post("/embed_sparse", {"inputs": texts, "truncate": True}, deadline)
        try:
            vectors = [{int(term["index"]): float(term["value"]) for term in terms} for terms in answer]
        except (ValueError, TypeError, KeyError):
            vectors = []
        if len(vectors) != len(texts):
            raise self._odd("/embed_sparse", answer, f"{len(texts)} lists of index and value")
        return [{index: value for index, value in vector.items() if value > 0} for vector in vectors]

    def _odd(self, path: str, answer: Any, expected: str) -> UpstreamError:
        return UpstreamError(
            f"embedding server {self._server.base_url}: {path} answered {excerpt(str(answer))} instead of {expected};"
            " check that embedder.base_url is a Text Embeddings Inference server",
            param="embedder.base_url",
        )
