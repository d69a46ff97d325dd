"""The query memory: passages that were accepted for past questions.

A row is one passage, or a whole document, accepted for one question. It belongs to the
department of the passage, so that who may read the passage profits from it; the question is
shown only to who may read all departments its asker could. Rows go with their document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, Engine, delete, exists, func, or_, select
from sqlalchemy.orm import Session, sessionmaker

from llmflow.errors import InvalidInputError, NotFoundError
from llmflow.schema import Scope
from llmflow.stores.engine import READS
from llmflow.stores.paging import check_page
from llmflow.stores.scoping import documents_within
from llmflow.stores.tables import DocumentRow, MemoryRow, storable

LONGEST_QUESTION = 8_000


class Origin(StrEnum):
    """How a passage came to be accepted."""

    FEEDBACK = "feedback"
    """Cited by an answer that was given a thumb up."""
    CLICK = "click"
    """Named by a user as what was looked for."""
    GOLD = "gold"
    """Imported from judged questions."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was right for a question: a chunk, or all of a document where ``chunk_id`` is None."""

    document_id: str
    chunk_id: str | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """One accepted passage. ``question`` is masked; ``departments`` are those its asker could read."""

    id: str
    tenant: str
    department: str
    document_id: str
    chunk_id: str | None
    question: str
    departments: tuple[str, ...]
    subject: str | None
    origin: Origin
    trace_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Remembered:
    """A question with a department's passages accepted for it.

    ``terms`` are its term frequencies by dimension; ``askers`` the departments each of its askers
    could read.
    """

    question: str
    terms: Mapping[int, float]
    accepted: tuple[Accepted, ...]
    askers: tuple[tuple[str, ...], ...]


class MemoryPage(NamedTuple):
    """A page of memories, and how many there are on all pages."""

    items: tuple[Memory, ...]
    total: int


class MemoryStore:
    """Memories in the metadata database. Safe between threads and processes.

    Args:
        engine: the metadata database's.
    """

    def __init__(self, engine: Engine) -> None:
        self._writing = sessionmaker(engine)
        self._reading = sessionmaker(engine.execution_options(**{READS: True}))
        # The elements of a JSON list as rows; the two databases name this differently.
        elements = func.json_each if engine.dialect.name == "sqlite" else func.json_array_elements_text
        self._departments = elements(MemoryRow.departments).table_valued("value")

    def remember(
        self,
        scope: Scope,
        question: str,
        terms: Mapping[int, float],
        accepted: Sequence[Accepted],
        origin: Origin,
        trace_id: str | None = None,
    ) -> tuple[Memory, ...]:
        """Keep passages accepted for a question; what is kept already is not kept twice.

        Args:
            question: masked.
            terms: the question's term frequencies by dimension.

        Raises:
            NotFoundError: the scope has no such document; nothing is kept then.
            InvalidInputError: the question is empty or longer than 8,000 characters.
        """
        if not 0 < len(question) <= LONGEST_QUESTION:
            raise InvalidInputError(
                f"the question has {len(question):,} characters; allowed are 1 to {LONGEST_QUESTION:,}",
                param="question",
            )
        now = datetime.now(UTC)
        packed = _pack(terms)
        with self._writing.begin() as session:
            departments = _departments_of(session, scope, accepted)
            return tuple(
                _as_memory(
                    session.merge(
                        MemoryRow(
                            id=_id(scope, question, one, trace_id),
                            tenant=scope.tenant,
                            department=departments[one.document_id],
                            document_id=one.document_id,
                            chunk_id=one.chunk_id,
                            question=storable(question),
                            terms=packed,
                            departments=list(scope.departments),
                            subject=scope.user,
                            origin=origin,
                            trace_id=trace_id,
                            created_at=now,
                        )
                    )
                )
                for one in dict.fromkeys(accepted)
            )

    def forget(self, scope: Scope, id: str, *, own: bool = False) -> Memory:
        """Forget one memory, with ``own`` only one of the scope's user; see :meth:`list` for whose.

        Raises:
            NotFoundError: the scope has no such memory.
        """
        with self._writing.begin() as session:
            row = session.scalar(select(MemoryRow).where(*self._shown(scope, own), MemoryRow.id == id.lower()))
            if row is None:
                raise NotFoundError(
                    f"no memory with the id {id!r}; `llmflow feedback list` lists them", param="memory_id"
                )
            session.delete(row)
            return _as_memory(row)

    def forget_all(
        self,
        scope: Scope,
        *,
        subject: str | None = None,
        document_id: str | None = None,
        trace_id: str | None = None,
        origin: Origin | None = None,
    ) -> int:
        """Forget the scope's memories that fit all that is given; how many.

        Raises:
            InvalidInputError: nothing is given.
        """
        wanted = {"subject": subject, "document_id": document_id, "trace_id": trace_id, "origin": origin}
        conditions = [getattr(MemoryRow, name) == value for name, value in wanted.items() if value is not None]
        if not conditions:
            raise InvalidInputError("say what to forget: a subject, a document, a trace or an origin", param="subject")
        with self._writing.begin() as session:
            ids = session.scalars(select(MemoryRow.id).where(*_within(scope), *conditions)).all()
            session.execute(delete(MemoryRow).where(*_within(scope), *conditions))
            return len(ids)

    def list(self, scope: Scope, limit: int = 50, offset: int = 0, *, own: bool = False) -> MemoryPage:
        """Memories of the scope's passages, newest first.

        Only those of users who could read no more than the scope, for their questions are shown;
        with ``own`` only those of the scope's user.

        Raises:
            InvalidInputError: ``limit`` is below 1 or ``offset`` below 0.
        """
        check_page(limit, offset)
        conditions = self._shown(scope, own)
        page = (
            select(MemoryRow)
            .where(*conditions)
            .order_by(MemoryRow.created_at.desc(), MemoryRow.id)
            .limit(limit)
            .offset(offset)
        )
        with self._reading.begin() as session:
            total = session.scalar(select(func.count()).select_from(MemoryRow).where(*conditions)) or 0
            return MemoryPage(tuple(_as_memory(row) for row in session.scalars(page)), total)

    def versions(self, scope: Scope) -> dict[str, str]:
        """What changes with every change of a department's memories, of each department that has some."""
        query = (
            select(MemoryRow.department, func.count(), func.max(MemoryRow.created_at))
            .where(*_within(scope))
            .group_by(MemoryRow.department)
        )
        with self._reading.begin() as session:
            return {department: f"{count} {newest}" for department, count, newest in session.execute(query)}

    def remembered(self, tenant: str, department: str) -> tuple[Remembered, ...]:
        """The questions of a department's passages, each once, in the order they were first remembered."""
        query = (
            select(
                MemoryRow.question,
                MemoryRow.terms,
                MemoryRow.document_id,
                MemoryRow.chunk_id,
                MemoryRow.departments,
            )
            .where(MemoryRow.tenant == tenant, MemoryRow.department == department)
            .order_by(MemoryRow.created_at, MemoryRow.id)
        )
        groups: dict[str, tuple[bytes, dict[Accepted, None], dict[tuple[str, ...], None]]] = {}
        with self._reading.begin() as session:
            for question, terms, document, chunk, departments in session.execute(query):
                _, accepted, askers = groups.setdefault(question, (terms, {}, {}))
                accepted[Accepted(document, chunk)] = None
                askers[tuple(departments)] = None
        return tuple(
            Remembered(question, _unpack(terms), tuple(accepted), tuple(askers))
            for question, (terms, accepted, askers) in groups.items()
        )

    def _shown(self, scope: Scope, own: bool) -> tuple[ColumnElement[bool], ...]:
        foreign = self._departments.c.value.not_in(scope.departments)
        visible = ~exists().select_from(self._departments).where(foreign).correlate(MemoryRow)
        mine = MemoryRow.subject == scope.user
        return (*_within(scope), mine if own else or_(visible, mine))


def _within(scope: Scope) -> tuple[ColumnElement[bool], ...]:
    return MemoryRow.tenant == scope.tenant, MemoryRow.department.in_(scope.departments)


def _departments_of(session: Session, scope: Scope, accepted: Sequence[Accepted]) -> dict[str, str]:
    """The department of each document.

    Raises:
        NotFoundError: one of them is not in the scope.
    """
    wanted = {one.document_id for one in accepted}
    rows = session.scalars(documents_within(scope).where(DocumentRow.id.in_(wanted)))
    found = {row.id: row.department for row in rows}
    if missing := sorted(wanted - found.keys()):
        raise NotFoundError(f"no document with the id {missing[0]!r}; `llmflow documents` lists them", param="sources")
    return found


def _id(scope: Scope, question: str, accepted: Accepted, trace_id: str | None) -> str:
    parts = (scope.tenant, scope.user, trace_id, question, accepted.document_id, accepted.chunk_id)
    return hashlib.sha256("\x1f".join(part or "" for part in parts).encode("utf-8", "replace")).hexdigest()[:32]


def _pack(terms: Mapping[int, float]) -> bytes:
    """Dimensions (uint32) and frequencies (float32), little-endian, one after the other."""
    return np.array(list(terms), "<u4").tobytes() + np.array(list(terms.values()), "<f4").tobytes()


def _unpack(packed: bytes) -> dict[int, float]:
    size = len(packed) // 2
    keys, values = np.frombuffer(packed[:size], "<u4"), np.frombuffer(packed[size:], "<f4")
    return dict(zip(keys.tolist(), values.tolist(), strict=True))


def _as_memory(row: MemoryRow) -> Memory:
    return Memory(
        id=row.id,
        tenant=row.tenant,
        department=row.department,
        document_id=row.document_id,
        chunk_id=row.chunk_id,
        question=row.question,
        departments=tuple(row.departments),
        subject=row.subject,
        origin=Origin(row.origin),
        trace_id=row.trace_id,
        created_at=row.created_at,
    )
