"""One department's graph in memory: what a search walks, kept in step by the writer.

Asking the database for the neighbours of a hundred chunks takes tens of milliseconds, this a
fraction of one. Built from the database when the department is first asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from llmflow.stores.graph.parts import Role

_TARGETS: frozenset[Role] = frozenset({"name", "article"})


@dataclass(slots=True)
class _Links:
    """What a chunk is about, by role, and what it mentions: ids of entities."""

    document: str
    about: dict[Role, tuple[str, ...]] = field(default_factory=dict)
    mentions: tuple[str, ...] = ()


@dataclass(slots=True)
class _Name:
    """What questions are compared with: a name, its terms and the chunks about it."""

    name: str
    terms: frozenset[str]
    chunks: dict[str, None] = field(default_factory=dict)


class DepartmentGraph:
    """Chunks and entities of one department. Not safe between threads; the store sees to that."""

    def __init__(self) -> None:
        self._documents: dict[str, list[str]] = {}
        self._chunks: dict[str, _Links] = {}
        self._targets: dict[str, dict[str, None]] = {}
        self.names: dict[str, _Name] = {}
        self.postings: dict[str, set[str]] = {}

    def add_chunk(self, document: str, chunk: str) -> None:
        """A chunk without links."""
        self._documents.setdefault(document, []).append(chunk)
        self._chunks[chunk] = _Links(document)

    def add_about(self, chunk: str, entity: str, role: Role, name: str, terms: Iterable[str]) -> None:
        """A chunk of the department is about an entity."""
        links = self._chunks[chunk]
        links.about[role] = (*links.about.get(role, ()), entity)
        if role in _TARGETS:
            self._targets.setdefault(entity, {})[chunk] = None
        if role == "name":
            if entity not in self.names:
                self.names[entity] = _Name(name, frozenset(terms))
                for term in self.names[entity].terms:
                    self.postings.setdefault(term, set()).add(entity)
            self.names[entity].chunks[chunk] = None

    def add_mentions(self, chunk: str, entities: Iterable[str]) -> None:
        """A chunk of the department mentions entities."""
        self._chunks[chunk].mentions += tuple(entities)

    def remove(self, document: str) -> None:
        """A document's chunks with their links, and the names only they had."""
        for chunk in self._documents.pop(document, ()):
            links = self._chunks.pop(chunk)
            for role, entities in links.about.items():
                for entity in entities:
                    if role in _TARGETS:
                        _discard(self._targets, entity, chunk)
                    if role == "name" and entity in self.names:
                        self._unname(entity, chunk)

    def _unname(self, entity: str, chunk: str) -> None:
        name = self.names[entity]
        name.chunks.pop(chunk, None)
        if not name.chunks:
            del self.names[entity]
            for term in name.terms:
                self.postings[term].discard(entity)
                if not self.postings[term]:
                    del self.postings[term]

    def __contains__(self, chunk: object) -> bool:
        return chunk in self._chunks

    def works_of(self, chunk: str) -> tuple[str, ...]:
        """The works a chunk is part of."""
        return self._chunks[chunk].about.get("work", ())

    def referred_to(self, chunk: str) -> frozenset[str]:
        """The chunks about what a chunk mentions, without those of its own article and name."""
        links = self._chunks[chunk]
        own = {chunk, *(other for role in _TARGETS for e in links.about.get(role, ()) for other in self._targets[e])}
        found = (other for entity in links.mentions for other in self._targets.get(entity, ()))
        return frozenset(other for other in found if other not in own)

    @property
    def documents(self) -> Iterable[str]:
        """Ids of the documents."""
        return self._documents.keys()


def _discard(groups: dict[str, dict[str, None]], key: str, member: str) -> None:
    group = groups.get(key, {})
    group.pop(member, None)
    if not group:
        groups.pop(key, None)
