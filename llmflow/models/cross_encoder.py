"""Cross-encoders: a model reads question and passage together and says how well they fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from llmflow.errors import ConfigurationError, UpstreamError
from llmflow.models.embedder import name_part
from llmflow.models.serving import ModelServer, excerpt
from llmflow.settings import CrossEncoderSettings

Floats = NDArray[np.float32]


class CrossEncoder(Protocol):
    """Safe to use from many threads."""

    @property
    def version(self) -> str:
        """Names provider and model. [A-Za-z0-9_] only."""

    def scores(self, query: str, passages: Sequence[str], deadline: float) -> Floats:
        """Relevance of each passage, (passages,) in [0, 1].

        Args:
            deadline: ``time.monotonic()`` at which the scores must be there.

        Raises:
            UpstreamError: the model's server failed or was too slow.
            DeadlineError: the model in this process was too slow.
        """


class TeiCrossEncoder:
    """``/rerank`` of Text Embeddings Inference."""

    def __init__(self, settings: CrossEncoderSettings, base_url: str) -> None:
        self._server = _server(settings, base_url)
        self._batch_size = settings.batch_size
        self.version = f"tei_{name_part(settings.model)}"

    def scores(self, query: str, passages: Sequence[str], deadline: float) -> Floats:
        """Relevance by batches; the server cuts long passages and applies the sigmoid."""
        parts = []
        for start in range(0, len(passages), self._batch_size):
            batch = list(passages[start : start + self._batch_size])
            body = {"query": query, "texts": batch, "raw_scores": False, "truncate": True}
            answer = self._server.post("/rerank", body, deadline)
            parts.append(_by_index(self._server, answer, answer, "score", len(batch)))
        return np.concatenate(parts) if parts else np.empty(0, np.float32)


class HttpCrossEncoder:
    """``/rerank`` in the form of Jina and Cohere, which vLLM and others serve too."""

    def __init__(self, settings: CrossEncoderSettings, base_url: str) -> None:
        self._server = _server(settings, base_url)
        self._batch_size = settings.batch_size
        self._model = settings.model
        self.version = f"http_{name_part(settings.model)}"

    def scores(self, query: str, passages: Sequence[str], deadline: float) -> Floats:
        """Relevance by batches."""
        parts = []
        for start in range(0, len(passages), self._batch_size):
            batch = list(passages[start : start + self._batch_size])
            body = {"model": self._model, "query": query, "documents": batch, "top_n": len(batch)}
            answer = self._server.post("/rerank", body, deadline)
            results = answer.get("results") if isinstance(answer, dict) else None
            parts.append(_by_index(self._server, answer, results, "relevance_score", len(batch)))
        return np.concatenate(parts) if parts else np.empty(0, np.float32)


def open_cross_encoder(settings: CrossEncoderSettings) -> CrossEncoder | None:
    """The cross-encoder that the settings name; None for ``none``.

    Raises:
        ConfigurationError: the model cannot be loaded, or ``base_url`` is missing.
    """
    if settings.provider == "none":
        return None
    if settings.provider == "flagembedding":
        from llmflow.models.flag_cross_encoder import FlagCrossEncoder

        return FlagCrossEncoder(settings)
    if not settings.base_url:
        raise ConfigurationError(
            f"cross_encoder.base_url is not set, and cross_encoder.provider={settings.provider} needs it; give the"
            " server's address, e.g. http://localhost:8082",
            param="cross_encoder.base_url",
        )
    return (TeiCrossEncoder if settings.provider == "tei" else HttpCrossEncoder)(settings, settings.base_url)


def _server(settings: CrossEncoderSettings, base_url: str) -> ModelServer:
    return ModelServer("cross-encoder", base_url, settings.api_key, settings, "cross_encoder.base_url")


def _by_index(server: ModelServer, answer: Any, results: Any, key: str, count: int) -> Floats:
    """Scores in the order of the passages; servers answer by falling score.

    Raises:
        UpstreamError: a passage has no score or two, or a score is outside [0, 1].
    """
    scores: dict[int, float] = {}
    try:
        scores = {int(result["index"]): float(result[key]) for result in results}
        complete = len(results) == count and set(scores) == set(range(count))
    except (ValueError, TypeError, KeyError):
        complete = False
    if not complete:
        problem = f"instead of an index and a {key} for each of {count} passages"
    elif not all(0 <= score <= 1 for score in scores.values()):
        problem = "with scores outside 0 to 1; have it apply the sigmoid"
    else:
        return np.array([scores[index] for index in range(count)], dtype=np.float32)
    raise UpstreamError(
        f"cross-encoder {server.base_url}: /rerank answered {excerpt(str(answer))} {problem}; check that"
        " cross_encoder.provider fits the server",
        param="cross_encoder.provider",
    )
