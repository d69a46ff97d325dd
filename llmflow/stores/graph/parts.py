"""What the graph holds of a document, before it has ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmflow.korean import normalize

Role = Literal["name", "article", "work"]
"""``name``: the chunk's subject or a term it defines, found by questions and mentions; ``article``: the
article it is (part of), found by references; ``work``: the law, rule or document it is part of."""


@dataclass(frozen=True, slots=True)
class Entity:
    """Something with a name; one per department and :func:`name_key`.

    ``terms`` are the name's tokens, compared with a question's; empty where no chunk is about it.
    """

    name: str
    type: str
    terms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class About:
    """A chunk is about an entity; ``entity`` is its key."""

    chunk_id: str
    entity: str
    role: Role


@dataclass(frozen=True, slots=True)
class Mention:
    """A chunk mentions an entity; ``confidence`` is in (0, 1]."""

    chunk_id: str
    entity: str
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Relation:
    """``subject`` and ``object`` are keys of entities that the chunk is about or mentions."""

    subject: str
    relation_type: str
    object: str
    chunk_id: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class DocumentGraph:
    """A document's part of the graph; ``entities`` holds every entity its edges name, by key."""

    document_id: str
    name: str
    chunks: tuple[str, ...]
    entities: dict[str, Entity]
    abouts: tuple[About, ...] = ()
    mentions: tuple[Mention, ...] = ()
    relations: tuple[Relation, ...] = ()


def name_key(name: str) -> str:
    """What makes two names the same: letters and digits, without case, spaces and punctuation ("C++" keeps its)."""
    return "".join(letter for letter in normalize(name).casefold() if letter.isalnum() or letter in "+#")
