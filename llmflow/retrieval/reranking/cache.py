"""Rerankings done before, of the same passages for the same question."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import replace

from pydantic import TypeAdapter, ValidationError

from llmflow import __version__
from llmflow.errors import UpstreamError
from llmflow.retrieval.reranking.base import Reranker, Reranking
from llmflow.retrieval.reranking.prompts import PROMPT_VERSION
from llmflow.settings import RerankerSettings
from llmflow.stores.keyvalue import KeyValueStore

_RERANKING = TypeAdapter(Reranking)
_logger = logging.getLogger(__name__)


class CachedReranker:
    """A reranker that remembers, for each tenant, what it gave in the last ``settings.cache_ttl_s`` seconds.

    Only hashes of question and passages are stored. A store that does not answer, or holds what is no
    reranking, is a miss.
    """

    def __init__(self, reranker: Reranker, store: KeyValueStore, settings: RerankerSettings) -> None:
        self._reranker = reranker
        self._store = store
        self._ttl_s = settings.cache_ttl_s
        # Whatever else shapes the result: window, margin, calibration, ...
        self._settings = settings.model_dump_json(exclude={"cache_ttl_s", "concurrency", "deadline_s", "depth"})

    @property
    def name(self) -> str:
        """The method."""
        return self._reranker.name

    @property
    def version(self) -> str:
        """The served model or adapter."""
        return self._reranker.version

    def rerank(self, tenant: str, query: str, passages: Sequence[str], deadline: float) -> Reranking:
        """As :meth:`.base.Reranker.rerank`; one from the cache took no requests and no tokens."""
        if not self._ttl_s:
            return self._reranker.rerank(query, passages, deadline)
        key = self._key(tenant, query, passages)
        if (known := self._read(key)) and sorted(known.order) == list(range(len(passages))):
            return replace(known, requests=0, prompt_tokens=0, completion_tokens=0)
        reranking = self._reranker.rerank(query, passages, deadline)
        try:
            self._store.set(key, _RERANKING.dump_json(reranking), self._ttl_s)
        except UpstreamError as error:
            _logger.warning("a reranking was not kept: %s", error)
        return reranking

    def _read(self, key: str) -> Reranking | None:
        try:
            stored = self._store.get(key)
            return _RERANKING.validate_json(stored) if stored else None
        except UpstreamError as error:
            _logger.warning("rerankings were not looked up: %s", error)
        except ValidationError:
            _logger.warning("what was kept at %s is no reranking", key)
        return None

    def _key(self, tenant: str, query: str, passages: Sequence[str]) -> str:
        shape = [self.name, self.version, PROMPT_VERSION, self._settings, __version__, query]
        digests = [hashlib.sha256(passage.encode()).hexdigest() for passage in passages]
        whole = hashlib.sha256(json.dumps([*shape, *digests]).encode()).hexdigest()
        return f"rerank:{hashlib.sha256(tenant.encode()).hexdigest()[:16]}:{whole}"
