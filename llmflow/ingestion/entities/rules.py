"""Entities and relations by rules: subjects, articles, works, references, defined terms, names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llmflow.ingestion.entities.definitions import find_definitions
from llmflow.ingestion.entities.headings import Subject, subject_of
from llmflow.ingestion.entities.names import find_names
from llmflow.ingestion.entities.references import act_above, find_references
from llmflow.korean import analyze
from llmflow.schema import Chunk
from llmflow.stores.graph import About, DocumentGraph, Entity, Mention, Relation, name_key

REFERS_TO = "refers_to"
DEFINED_IN = "defined_in"
SUBORDINATE_TO = "subordinate_to"
_NAME_CONFIDENCE = 0.7
"""A reference is what it says it is; a run of capitals only looks like a name."""
_MAX_NAME = 200


class DocumentDraft:
    """Collects a document's part of the graph; what is said twice is kept once."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._chunks = chunks
        self._entities: dict[str, tuple[str, str]] = {}
        self._abouts: dict[About, None] = {}
        self._mentions: dict[tuple[str, str], Mention] = {}
        self._relations: dict[tuple[str, str, str, str], Relation] = {}

    def entity(self, name: str, type_: str) -> str | None:
        """The key of an entity; None where the name holds no letter."""
        name = " ".join(name.split())[:_MAX_NAME]
        key = name_key(name)
        if key:
            self._entities.setdefault(key, (name, type_))
        return key or None

    def about(self, about: About) -> None:
        """A chunk is about an entity."""
        self._abouts[about] = None

    def mention(self, chunk: Chunk, key: str, confidence: float = 1.0) -> None:
        """A chunk mentions an entity."""
        known = self._mentions.get((chunk.id, key))
        if known is None or known.confidence < confidence:
            self._mentions[chunk.id, key] = Mention(chunk.id, key, confidence)

    def relate(self, chunk: Chunk, subject: str, relation_type: str, object_: str, weight: float = 1.0) -> None:
        """A chunk relates two entities that it mentions or is about."""
        if subject != object_:
            edge = (subject, relation_type, object_, chunk.id)
            self._relations.setdefault(edge, Relation(*edge, weight))

    def finish(self) -> DocumentGraph:
        """The collected part; names of what chunks are about have their terms."""
        named = list(dict.fromkeys(about.entity for about in self._abouts if about.role == "name"))
        texts = [self._entities[key][0] for key in named]
        terms = {
            key: tuple(dict.fromkeys(term for sentence in sentences for term in sentence.grams))
            for key, sentences in zip(named, analyze(texts), strict=True)
        }
        first = self._chunks[0]
        return DocumentGraph(
            first.document_id,
            first.document_name,
            tuple(chunk.id for chunk in self._chunks),
            {key: Entity(name, type_, terms.get(key, ())) for key, (name, type_) in self._entities.items()},
            tuple(self._abouts),
            tuple(self._mentions.values()),
            tuple(self._relations.values()),
        )


def draft_by_rules(chunks: Sequence[Chunk]) -> DocumentDraft:
    """What the rules find in a document's chunks, in reading order."""
    draft = DocumentDraft(chunks)
    previous: dict[str | None, str] = {}
    last: tuple[str | None, str | None] = (None, None)
    for chunk in chunks:
        subject = subject_of(chunk)
        if (subject.work, subject.article) != last and last[1]:
            previous[last[0]] = last[1]
        last = (subject.work, subject.article)
        _add_subject(draft, chunk, subject)
        _add_references(draft, chunk, subject, previous.get(subject.work))
        _add_mentions(draft, chunk, find_names(chunk.text))
    return draft


def _add_subject(draft: DocumentDraft, chunk: Chunk, subject: Subject) -> None:
    work = draft.entity(subject.work, "work") if subject.work else None
    if work:
        draft.about(About(chunk.id, work, "work"))
    article = draft.entity(f"{subject.work} {subject.article}", "article") if work and subject.article else None
    if article:
        draft.about(About(chunk.id, article, "article"))
    name = draft.entity(subject.name, "subject") if subject.name else None
    if name:
        draft.about(About(chunk.id, name, "name"))
    where = article or name or work
    for term in find_definitions(chunk.text):
        key = draft.entity(term, "term")
        if key:
            draft.about(About(chunk.id, key, "name"))
            if where:
                draft.relate(chunk, key, DEFINED_IN, where)
    act = act_above(subject.work) if subject.work else None
    above = draft.entity(act, "work") if act else None
    if work and above:
        draft.mention(chunk, above)
        draft.relate(chunk, work, SUBORDINATE_TO, above)


def _add_references(draft: DocumentDraft, chunk: Chunk, subject: Subject, previous: str | None) -> None:
    work = subject.work if subject.article else None  # "제3조" of what is no statute is of another text
    own = name_key(f"{subject.work} {subject.article}") if work else None
    for named, article in find_references(chunk.text, work, subject.article, previous):
        key = draft.entity(f"{named} {article}" if article else named, "article" if article else "work")
        if key:
            draft.mention(chunk, key)
            if own and article:
                draft.relate(chunk, own, REFERS_TO, key)


def _add_mentions(draft: DocumentDraft, chunk: Chunk, names: Iterable[str]) -> None:
    for name in names:
        key = draft.entity(name, "name")
        if key:
            draft.mention(chunk, key, _NAME_CONFIDENCE)
