"""Documents, chunks and entities as a graph; each department is written by one thread at a time.

A document's part is replaced as a whole. Ids of entities are made of tenant, department and name, so
that no edge leads from one department to another.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from llmflow.errors import InvalidInputError, NotFoundError
from llmflow.schema import Fact, Scope
from llmflow.stores.graph import reading
from llmflow.stores.graph import statements as cypher
from llmflow.stores.graph.engine import GraphEngine, Rows, Run
from llmflow.stores.graph.index import DepartmentGraph, Written
from llmflow.stores.graph.parts import DocumentGraph, name_key

_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """An entity with its chunks and the relations around it; columns as in ``statements``."""

    name: str
    types: tuple[str, ...]
    about: Rows
    mentioned: Rows
    relations: Rows


class GraphStore:
    """The graph, in a database and, as far as searching needs it, in memory. Safe between threads.

    A search sees a document's old part or its new one, and waits for the database only where it is the
    first of its department.
    """

    def __init__(self, engine: GraphEngine) -> None:
        self._engine = engine
        # What is in memory; held for as long as reading or changing that takes, never for the database.
        self._memory = threading.Lock()
        self._loaded: dict[tuple[str, str], DepartmentGraph] = {}
        # Between the database and the memory of a department; held while it is written or loaded.
        self._departments: dict[tuple[str, str], threading.RLock] = {}

    def replace(self, scope: Scope, department: str, part: DocumentGraph) -> None:
        """A document's part takes the place of what the graph had of it, all or nothing.

        Raises:
            InvalidInputError: the department is outside the scope.
            UpstreamError: the database fails; nothing has changed.
        """
        if department not in scope.departments:
            raise InvalidInputError(
                f"department {department!r} is outside the scope; allowed: {', '.join(scope.departments)}",
                param="department",
            )
        ids = {key: entity_id(scope.tenant, department, key) for key in part.entities}
        with self._writing(scope.tenant, (department,)):
            loaded = self._department(scope.tenant, department)
            with self._engine.transaction() as run:
                _delete(run, scope, part.document_id)
                _add(run, scope.tenant, department, part, ids)
            with self._memory:
                loaded.remove(part.document_id)
                _remember(loaded, part, ids)

    def delete_document(self, scope: Scope, document_id: str) -> None:
        """Remove a document's chunks and relations, and the entities nobody names any more.

        Raises:
            UpstreamError: the database fails; nothing has changed.
        """
        with self._writing(scope.tenant, scope.departments):
            with self._engine.transaction() as run:
                _delete(run, scope, document_id)
            with self._memory:
                for department in scope.departments:
                    if (scope.tenant, department) in self._loaded:
                        self._loaded[scope.tenant, department].remove(document_id)

    def all_documents(self) -> dict[str, Scope]:
        """Every document of every tenant, with the scope it is in: for rebuilding, never for answering."""
        rows = self._engine.read(cypher.DOCUMENTS, {})
        return {row["id"]: Scope(row["tenant"], (row["department"],)) for row in rows}

    def counts(self, scope: Scope) -> dict[str, int]:
        """How many entities of each type the scope has."""
        return {row["type"]: row["entities"] for row in self._engine.read(cypher.COUNTS, _within(scope))}

    def named(self, scope: Scope, terms: Collection[str]) -> list[reading.Named]:
        """See :func:`llmflow.stores.graph.reading.named`."""
        departments = self._visible(scope)
        with self._memory:
            return reading.named(departments, terms)

    def referred(self, scope: Scope, weights: Mapping[str, float]) -> dict[str, tuple[float, str]]:
        """See :func:`llmflow.stores.graph.reading.referred`."""
        departments = self._visible(scope)
        with self._memory:
            return reading.referred(departments, weights)

    def works(self, scope: Scope, chunks: Collection[str]) -> dict[str, tuple[str, ...]]:
        """See :func:`llmflow.stores.graph.reading.works`."""
        departments = self._visible(scope)
        with self._memory:
            return reading.works(departments, chunks)

    def facts(self, scope: Scope, chunks: Sequence[str], limit: int) -> list[Fact]:
        """See :func:`llmflow.stores.graph.reading.facts`."""
        departments = self._visible(scope)
        with self._memory:
            return reading.facts(departments, chunks, limit)

    def neighbourhood(self, scope: Scope, name: str, hops: int = 1, limit: int = 50) -> Neighbourhood:
        """What the scope's graph knows of an entity.

        Args:
            hops: relations from the entity to what is listed.
            limit: rows of each kind at most.

        Raises:
            NotFoundError: there is no such entity; the message names some that come near.
        """
        key = name_key(name)
        ids = [entity_id(scope.tenant, department, key) for department in scope.departments]
        found = self._engine.read(cypher.ENTITIES, {"ids": ids})
        if not found:
            similar = self._engine.read(cypher.ENTITIES_LIKE, {**_within(scope), "key": key}) if key else []
            known = ", ".join(dict.fromkeys(row["name"] for row in similar))
            raise NotFoundError(
                f"the graph has no entity {name!r}" + (f"; it has {known}" if known else ""), param="entity"
            )
        ids = [row["id"] for row in found]
        parameters = {"ids": ids, "limit": limit}
        return Neighbourhood(
            found[0]["name"],
            tuple(sorted({row["type"] for row in found})),
            self._engine.read(cypher.CHUNKS_ABOUT, parameters),
            self._engine.read(cypher.CHUNKS_MENTIONING, parameters),
            self._relations(ids, hops, limit),
        )

    def _relations(self, ids: Sequence[str], hops: int, limit: int) -> Rows:
        """Relations around entities, nearest first, each with its ``hop``."""
        seen, frontier = set(ids), list(ids)
        relations: dict[tuple[Any, ...], dict[str, Any]] = {}
        for hop in range(1, hops + 1):
            parameters = {"ids": frontier, "limit": limit}
            found = [
                row for way in (cypher.RELATIONS_OF, cypher.RELATIONS_TO) for row in self._engine.read(way, parameters)
            ]
            for row in found:
                edge = (row["subject_id"], row["relation_type"], row["object_id"], row["chunk"])
                relations.setdefault(edge, {"hop": hop, **row})
            frontier = sorted({row[end] for row in found for end in ("subject_id", "object_id")} - seen)
            seen |= set(frontier)
            if not frontier or len(relations) >= limit:
                break
        return [
            {name: value for name, value in row.items() if not name.endswith("_id")}
            for row in list(relations.values())[:limit]
        ]

    def close(self) -> None:
        """Release the database."""
        self._engine.close()

    @contextmanager
    def _writing(self, tenant: str, departments: Collection[str]) -> Iterator[None]:
        """Nobody else writes or loads these departments meanwhile."""
        with ExitStack() as stack:
            for department in sorted(set(departments)):  # in one order, lest two wait for each other
                with self._memory:
                    lock = self._departments.setdefault((tenant, department), threading.RLock())
                stack.enter_context(lock)
            yield

    def _visible(self, scope: Scope) -> list[DepartmentGraph]:
        return [self._department(scope.tenant, department) for department in dict.fromkeys(scope.departments)]

    def _department(self, tenant: str, department: str) -> DepartmentGraph:
        key = tenant, department
        known = self._loaded.get(key)
        if known is None:
            with self._writing(tenant, (department,)):
                known = self._loaded.get(key)
                if known is None:
                    known = self._loaded[key] = self._load(tenant, department)
        return known

    def _load(self, tenant: str, department: str) -> DepartmentGraph:
        parameters = {"tenant": tenant, "department": department}
        loaded = DepartmentGraph()
        for row in self._engine.read(cypher.LOAD_CHUNKS, parameters):
            loaded.add_chunk(row["document"], row["chunk"])
        for row in self._engine.read(cypher.LOAD_ABOUTS, parameters):
            loaded.add_about(row["chunk"], row["entity"], row["role"], row["name"], row["terms"].split())
        for row in self._engine.read(cypher.LOAD_MENTIONS, parameters):
            loaded.add_mentions(row["chunk"], (row["entity"],))
        for row in self._engine.read(cypher.LOAD_RELATIONS, parameters):
            loaded.add_relation(row.pop("chunk"), Written(**row))
        return loaded


def entity_id(tenant: str, department: str, key: str) -> str:
    """The id of an entity: 32 hexadecimal digits, the same wherever the department names it."""
    return hashlib.sha256(_SEPARATOR.join((tenant, department, key)).encode()).hexdigest()[:32]


def _remember(loaded: DepartmentGraph, part: DocumentGraph, ids: Mapping[str, str]) -> None:
    for chunk in part.chunks:
        loaded.add_chunk(part.document_id, chunk)
    for about in part.abouts:
        entity = part.entities[about.entity]
        loaded.add_about(about.chunk_id, ids[about.entity], about.role, entity.name, entity.terms)
    for mention in part.mentions:
        loaded.add_mentions(mention.chunk_id, (ids[mention.entity],))
    for relation in part.relations:
        subject, object_ = part.entities[relation.subject], part.entities[relation.object]
        written = Written(subject.name, relation.relation_type, object_.name, ids[relation.object], relation.weight)
        loaded.add_relation(relation.chunk_id, written)


def _within(scope: Scope) -> dict[str, Any]:
    return {"tenant": scope.tenant, "departments": list(scope.departments)}


def _delete(run: Run, scope: Scope, document_id: str) -> None:
    of_document = {**_within(scope), "document": document_id}
    chunks = [row["id"] for row in run(cypher.CHUNKS_OF, of_document)]
    touched = [row["id"] for row in run(cypher.TOUCHED, {"chunks": chunks})] if chunks else []
    if touched:
        run(cypher.DELETE_RELATIONS, {"entities": touched, "document": document_id})
    if chunks:
        run(cypher.DELETE_CHUNKS, {"chunks": chunks})
    run(cypher.DELETE_DOCUMENT, of_document)
    if touched:
        run(cypher.DELETE_UNMENTIONED, {"entities": touched})


def _add(run: Run, tenant: str, department: str, part: DocumentGraph, ids: Mapping[str, str]) -> None:
    document = {"document": part.document_id}
    run(cypher.ADD_DOCUMENT, {**document, "tenant": tenant, "department": department, "name": part.name})
    entities = [
        {
            "id": ids[key], "key": key, "name": entity.name, "type": entity.type, "terms": " ".join(entity.terms),
            "tenant": tenant, "department": department,
        }
        for key, entity in part.entities.items()
    ]  # fmt: skip
    abouts = [{"chunk": a.chunk_id, "entity": ids[a.entity], "role": a.role} for a in part.abouts]
    mentions = [{"chunk": m.chunk_id, "entity": ids[m.entity], "confidence": m.confidence} for m in part.mentions]
    relations = [
        {
            "subject": ids[r.subject], "object": ids[r.object], "relation_type": r.relation_type, "weight": r.weight,
            "chunk": r.chunk_id,
        }
        for r in part.relations
    ]  # fmt: skip
    known = {row["id"]: row["terms"] for row in run(cypher.KNOWN, {"entities": list(ids.values())})}
    named = [entity for entity in entities if entity["terms"] and known.get(entity["id"]) == ""]
    for statement, rows in (
        (cypher.ADD_CHUNKS, [{"id": chunk} for chunk in part.chunks]),
        (cypher.ADD_ENTITIES, [entity for entity in entities if entity["id"] not in known]),
        (cypher.SET_TERMS, named),
        (cypher.ADD_ABOUTS, abouts),
        (cypher.ADD_MENTIONS, mentions),
        (cypher.ADD_RELATIONS, relations),
    ):
        if rows:  # ladybug cannot tell what an empty list is made of
            run(statement, {**document, "rows": rows})
