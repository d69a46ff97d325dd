"""Documents' parts of the graph made by hand."""

from __future__ import annotations

from llmflow.stores.graph import About, DocumentGraph, Entity, Mention, Relation, name_key


def part(
    document: str,
    *,
    about: dict[str, str] | None = None,
    mentions: tuple[tuple[str, str], ...] = (),
    relations: tuple[tuple[str, str, str, str], ...] = (),
    work: str | None = None,
) -> DocumentGraph:
    """``about``: chunk -> name; ``mentions``: (chunk, name); ``relations``: (subject, relation, object, chunk)."""
    about = about or {}
    chunks = tuple(dict.fromkeys([*about, *(chunk for chunk, _ in mentions), *(chunk for *_, chunk in relations)]))
    entities = {name_key(name): Entity(name, "subject", tuple(name.split())) for name in about.values()}
    for name in [name for _, name in mentions] + [name for s, _, o, _ in relations for name in (s, o)]:
        entities.setdefault(name_key(name), Entity(name, "name"))
    mentions = (
        *mentions,
        *((chunk, end) for s, _, o, chunk in relations for end in (s, o) if end not in about.values()),
    )
    abouts = [About(chunk, name_key(name), "name") for chunk, name in about.items()]
    if work:
        entities[name_key(work)] = Entity(work, "work")
        abouts += [About(chunk, name_key(work), "work") for chunk in chunks]
    return DocumentGraph(
        document,
        f"{document}.pdf",
        chunks,
        entities,
        tuple(abouts),
        tuple(Mention(chunk, name_key(name), 0.5) for chunk, name in mentions),
        tuple(Relation(name_key(s), relation, name_key(o), chunk) for s, relation, o, chunk in relations),
    )
