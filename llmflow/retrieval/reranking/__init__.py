"""The student LLM as reranker: four methods over one served model, and a cache.

Each takes a question and passages and gives an order; :mod:`.base` says what of.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from llmflow.errors import ConfigurationError, DeadlineError, UpstreamError
from llmflow.models.llm import LLMClient
from llmflow.retrieval.reranking.base import Reranker, Reranking
from llmflow.retrieval.reranking.cache import CachedReranker
from llmflow.retrieval.reranking.listwise import ListwiseReranker
from llmflow.retrieval.reranking.permutation import PermutationReranker
from llmflow.retrieval.reranking.pointwise import PointwiseReranker
from llmflow.retrieval.reranking.setwise import SetwiseReranker
from llmflow.retrieval.reranking.student import Student
from llmflow.settings import RerankerSettings
from llmflow.stores.keyvalue import KeyValueStore

__all__ = ["CachedReranker", "Reranker", "Reranking", "build_reranker", "open_reranker"]

_METHODS: Final = {
    method.name: method for method in (ListwiseReranker, PointwiseReranker, SetwiseReranker, PermutationReranker)
}
_logger = logging.getLogger(__name__)


def build_reranker(settings: RerankerSettings, llm: LLMClient) -> Reranker:
    """The reranker of ``settings.method``, which is not ``none``, without a cache; calls nothing."""
    return _METHODS[settings.method](Student(llm, settings.model or llm.settings.model), settings)


def open_reranker(settings: RerankerSettings, llm: LLMClient | None, keyvalue: KeyValueStore) -> CachedReranker | None:
    """The reranker of the settings, its labels checked with the server; None where ``method`` is ``none``.

    A server that cannot be asked within ``deadline_s`` stops nothing: the labels are checked by the
    first question it answers.

    Raises:
        ConfigurationError: there is no LLM, or a label is not exactly one token of the served tokenizer.
    """
    if settings.method == "none":
        return None
    if llm is None:
        raise ConfigurationError(
            f"reranker.method is {settings.method!r}, which needs an LLM; set llm.base_url, or reranker.method=none",
            param="reranker.method",
        )
    # A client of its own, for its circuit breaker: calls that miss a short deadline must not stop others.
    reranker = build_reranker(settings, LLMClient(llm.settings))
    try:
        reranker.check(time.monotonic() + settings.deadline_s)
    except (DeadlineError, UpstreamError) as error:
        _logger.warning("the labels of the reranker are not checked yet: %s", error)
    return CachedReranker(reranker, keyvalue, settings)
