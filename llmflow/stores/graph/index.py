"""One department's graph in memory: what a search walks, kept in step by the writer.

Asking the database for the neighbours of a hundred chunks takes tens of milliseconds, this a
fraction of one. Built from the database when the department is first asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from llmflow.stores.graph.names import NameIndex
from llmflow.stores.graph.parts import Role

_TARGETS: frozenset[Role] = frozenset({"name", "article"})


@dataclass(frozen=True, slots=True)
class Written:
    """A relation written in a chunk; ``object_id`` is the entity's."""

    subject: str
    relation_type: str
    object: str
    object_id: str
    weight: float


@dataclass(slots=True)
class _Links:
    """What a chunk is about, by role, what it mentions (ids of entities), and what it relates."""

    about: dict[Role, tuple[str, ...]] = field(default_factory=dict)
    mentions: tuple[str, ...] = ()
    relations: tuple[Written, ...] = ()


class DepartmentGraph:
    """Chunks and entities of one department. Not safe between threads; the store sees to that."""

    def __init__(self) -> None:
        self._documents: dict[str, list[str]] = {}
        self._chunks: dict[str, _Links] = {}
        self._targets: dict[str, dict[str, None]] = {}
        self.names = NameIndex()

    def add_chunk(self, document: str, chunk: str) -> None:
        """A chunk without links."""
        self._documents.setdefault(document, []).append(chunk)
        self._chunks[chunk] = _Links()

    def add_about(self, chunk: str, entity: str, role: Role, name: str, terms: Collection[str]) -> None:
        """A chunk of the department is about an entity."""
        links = self._chunks[chunk]
        links.about[role] = (*links.about.get(role, ()), entity)
        if role in _TARGETS:
            self._targets.setdefault(entity, {})[chunk] = None
        if role == "name":
            self.names.add(entity, name, terms, chunk)

    def add_mentions(self, chunk: str, entities: Iterable[str]) -> None:
        """A chunk of the department mentions entities."""
        self._chunks[chunk].mentions += tuple(entities)

    def add_relation(self, chunk: str, relation: Written) -> None:
        """A chunk of the department relates two entities."""
        self._chunks[chunk].relations += (relation,)

    def remove(self, document: str) -> None:
        """A document's chunks with their links, and the names only they had."""
        for chunk in self._documents.pop(document, ()):
            links = self._chunks.pop(chunk)
            for role, entities in links.about.items():
                for entity in entities:
                    if role in _TARGETS:
                        _discard(self._targets, entity, chunk)
                    if role == "name":
                        self.names.remove(entity, chunk)

    def __contains__(self, chunk: object) -> bool:
        return chunk in self._chunks

    def relations_of(self, chunk: str) -> tuple[Written, ...]:
        """What a chunk relates."""
        return self._chunks[chunk].relations

    def subjects_of(self, chunk: str) -> Iterable[str]:
        """What a chunk is about: entities that questions or references may lead to."""
        about = self._chunks[chunk].about
        return (entity for role in _TARGETS for entity in about.get(role, ()))

    def works_of(self, chunk: str) -> tuple[str, ...]:
        """The works a chunk is part of."""
        return self._chunks[chunk].about.get("work", ())

    def referred_to(self, chunk: str) -> frozenset[str]:
        """The chunks about what a chunk mentions, without those of its own article and name."""
        links = self._chunks[chunk]
        own = {chunk, *(other for entity in self.subjects_of(chunk) for other in self._targets[entity])}
        found = (other for entity in links.mentions for other in self._targets.get(entity, ()))
        return frozenset(other for other in found if other not in own)


def _discard(groups: dict[str, dict[str, None]], key: str, member: str) -> None:
    group = groups.get(key, {})
    group.pop(member, None)
    if not group:
        groups.pop(key, None)
