"""The cache itself: what may be kept, where, and until when."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from llmflow import __version__
from llmflow.errors import UpstreamError
from llmflow.generation.cache.reading import read
from llmflow.generation.cache.vector import Vector
from llmflow.korean import normalize
from llmflow.pii.entities import PLACEHOLDER
from llmflow.schema import Answer, Degradation, Scope
from llmflow.settings import CacheSettings
from llmflow.stores.keyvalue import KeyValueStore

Shape = str | int | float | bool | None
Versions = Callable[[Scope, Collection[str]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the cache had.

    ``outcome`` is for counting: ``bypass`` where it was not asked (it is off, the question is
    personal or says nothing, or the store does not answer, which ``degradation`` then tells).
    """

    outcome: Literal["hit", "miss", "bypass"]
    answer: Answer | None = None
    degradation: Degradation | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    vector: tuple[float, ...]
    versions: dict[str, str]
    answer: Answer


_ENTRY = TypeAdapter(_Entry)
_ROUNDING = 1e-6


class AnswerCache:
    """Answers by scope and question. Keeps nothing in the process: every server sees the same answers.

    Two questions share an answer when their readings have the same marks (see
    :mod:`llmflow.generation.cache.reading`) and their vectors are at least
    ``settings.threshold`` similar. One answer is kept for each sequence of marks.

    Args:
        store: where the answers live.
        embed: a question's vector, of length 1 (:func:`.vector.question_vector`).
        versions: of the documents named, those that are READY in the scope, each with a value
            that changes when the document does (its SHA-256).
    """

    def __init__(
        self, store: KeyValueStore, settings: CacheSettings, embed: Callable[[str], Vector], versions: Versions
    ) -> None:
        self._store = store
        self._settings = settings
        self._embed = embed
        self._versions = versions

    def lookup(self, scope: Scope, question: str, *, personal: bool, **shape: Shape) -> Lookup:
        """The answer to a question that says the same, if there is one and its documents are unchanged.

        The answer comes without timings and trace id: they were another request's.

        Args:
            question: as asked, standing alone.
            personal: whether there is personal data in the question.
            shape: whatever else the answer depends on: top_k, the LLM's name, ...
        """
        key = self._key(scope, question, personal, shape)
        if key is None:
            return Lookup("bypass")
        try:
            stored = self._store.get(key)
            entry = _parse(stored) if stored else None
            if entry is not None and not self._similar(entry, question):
                return Lookup("miss")
            if entry is not None and dict(self._versions(scope, entry.versions.keys())) == entry.versions:
                return Lookup("hit", _as_asked(entry.answer, question))
            if stored:
                self._store.delete(key)
        except UpstreamError:
            return Lookup("bypass", degradation=_left_out("looked up"))
        return Lookup("miss")

    def remember(
        self, scope: Scope, question: str, answer: Answer, *, personal: bool, **shape: Shape
    ) -> Degradation | None:
        """Keep an answer, if it is one to give again: whole, borne out, and free of personal data.

        Args:
            question, personal, shape: as given to :meth:`lookup`.

        Returns:
            A degradation where the store does not answer.
        """
        key = self._key(scope, question, personal, shape)
        if key is None or not _repeatable(answer):
            return None
        documents = _documents(answer)
        try:
            versions = dict(self._versions(scope, documents))
            if versions.keys() != documents:
                return None
            entry = _Entry(tuple(self._embed(question).tolist()), versions, _without_request(answer))
            self._store.set(key, _ENTRY.dump_json(entry), self._settings.ttl_s)
            order = f"{_scope_key(scope)}:order"
            surplus = self._store.push(order, [key.encode()], self._settings.ttl_s, self._settings.max_entries)
            self._store.delete(*{old.decode() for old in surplus} - {key})
        except UpstreamError:
            return _left_out("kept")
        return None

    def _key(self, scope: Scope, question: str, personal: bool, shape: Mapping[str, Shape]) -> str | None:
        """Where the answer lives; None where it must not be looked for."""
        if not self._settings.enabled or personal or PLACEHOLDER.search(question):
            return None
        marks = read(question).marks
        return f"{_scope_key(scope)}:{_hash(marks, dict(shape), __version__)}" if marks else None

    def _similar(self, entry: _Entry, question: str) -> bool:
        known, asked = np.array(entry.vector, np.float32), self._embed(question)
        # An embedder of another width has taken the place of the one before.
        return known.shape == asked.shape and float(known @ asked) >= self._settings.threshold - _ROUNDING


def _parse(stored: bytes) -> _Entry | None:
    try:
        return _ENTRY.validate_json(stored)
    except ValidationError:
        return None


def _scope_key(scope: Scope) -> str:
    return f"answers:{_hash(scope.tenant, sorted(set(scope.departments)))}"


def _hash(*parts: object) -> str:
    # As JSON, so that no name can be chosen that reads like two others.
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _repeatable(answer: Answer) -> bool:
    if answer.mode == "abstained" or not answer.citations or answer.unsupported or answer.degradations:
        return False
    if answer.retrieval is not None and answer.retrieval.degradations:
        return False
    cited = {citation.chunk_id for citation in answer.citations}
    candidates = answer.retrieval.candidates if answer.retrieval else ()
    texts = [answer.text, *(citation.quote for citation in answer.citations)]
    texts += [candidate.chunk.text for candidate in candidates if candidate.chunk.id in cited]
    return not any(PLACEHOLDER.search(text) for text in texts)


def _documents(answer: Answer) -> set[str]:
    """Every document whose words are in the answer or the passages shown with it."""
    candidates = answer.retrieval.candidates if answer.retrieval else ()
    return {citation.document_id for citation in answer.citations} | {
        candidate.chunk.document_id for candidate in candidates
    }


def _without_request(answer: Answer) -> Answer:
    retrieval = answer.retrieval and replace(answer.retrieval, timings_ms={}, trace_id=None)
    return replace(answer, retrieval=retrieval, timings_ms={}, trace_id=None)


def _as_asked(answer: Answer, question: str) -> Answer:
    """With the words of who asks now, not of who asked first."""
    if answer.retrieval is None:
        return answer
    query = replace(answer.retrieval.query, text=normalize(question))
    return replace(answer, retrieval=replace(answer.retrieval, query=query))


def _left_out(what: str) -> Degradation:
    return Degradation("cache", f"the answer was not {what} in the cache: its store does not answer")
