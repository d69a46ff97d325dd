"""Feedback: what users think of answers."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Engine, exists, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import sessionmaker

from llmflow.errors import InvalidInputError
from llmflow.schema import Feedback, Scope
from llmflow.stores.engine import READS
from llmflow.stores.paging import check_page
from llmflow.stores.tables import FeedbackRow, storable

_TRACE_ID = re.compile("[0-9a-f]{32}")
_VALUES = (1, -1)
_LONGEST_COMMENT = 4000


class FeedbackPage(NamedTuple):
    """A page of feedback, and how much there is on all pages."""

    items: tuple[Feedback, ...]
    total: int


class FeedbackStore:
    """Feedback in the metadata database. Safe between threads.

    What a user said is shown to who may read all departments that user could read, as its
    comment may quote any of them.

    Args:
        engine: the metadata database's.
    """

    def __init__(self, engine: Engine) -> None:
        self._writing = sessionmaker(engine)
        self._reading = sessionmaker(engine.execution_options(**{READS: True}))
        # The elements of a JSON list as rows; the two databases name this differently.
        elements = func.json_each if engine.dialect.name == "sqlite" else func.json_array_elements_text
        self._departments = elements(FeedbackRow.departments).table_valued("value")

    def add(self, scope: Scope, trace_id: str, value: int, comment: str | None = None) -> Feedback:
        """Keep what the scope's user thinks of an answer, in place of what the user thought of it before.

        Raises:
            InvalidInputError: the scope names no user, ``trace_id`` is none, ``value`` is neither
                1 nor -1, or the comment has more than 4,000 characters.
        """
        if scope.user is None:
            raise InvalidInputError("feedback needs a user, and the scope names none", param="scope")
        if not _TRACE_ID.fullmatch(trace_id):
            raise InvalidInputError(
                f"trace_id {trace_id[:80]!r} is no trace's; send the 32 hexadecimal digits of an answer's trace_id",
                param="trace_id",
            )
        if value not in _VALUES:
            raise InvalidInputError(f"value {value!r} is no feedback; allowed are 1 and -1", param="value")
        if comment is not None and len(comment) > _LONGEST_COMMENT:
            raise InvalidInputError(
                f"the comment has {len(comment)} characters; allowed are {_LONGEST_COMMENT}", param="comment"
            )
        # One id for a user and an answer: two calls at once cannot make two rows.
        id = hashlib.sha256("\x1f".join((scope.tenant, scope.user, trace_id)).encode()).hexdigest()[:32]
        row = FeedbackRow(
            id=id,
            tenant=scope.tenant,
            departments=list(scope.departments),
            subject=scope.user,
            trace_id=trace_id,
            value=value,
            comment=None if comment is None else storable(comment),
            created_at=datetime.now(UTC),
        )
        try:
            return self._write(row)
        except IntegrityError:  # the other of two calls at once was first; its row is there now
            return self._write(row)

    def list(self, scope: Scope, limit: int = 50, offset: int = 0) -> FeedbackPage:
        """Feedback of users who could read no more than the scope, newest first.

        Raises:
            InvalidInputError: ``limit`` is below 1 or ``offset`` below 0.
        """
        check_page(limit, offset)
        conditions = self._within(scope)
        page = (
            select(FeedbackRow)
            .where(*conditions)
            .order_by(FeedbackRow.created_at.desc(), FeedbackRow.id)
            .limit(limit)
            .offset(offset)
        )
        with self._reading.begin() as session:
            total = session.scalar(select(func.count()).select_from(FeedbackRow).where(*conditions)) or 0
            return FeedbackPage(tuple(_as_feedback(row) for row in session.scalars(page)), total)

    def _write(self, row: FeedbackRow) -> Feedback:
        with self._writing.begin() as session:
            return _as_feedback(session.merge(row))

    def _within(self, scope: Scope) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        foreign = self._departments.c.value.not_in(scope.departments)
        return (
            FeedbackRow.tenant == scope.tenant,
            ~exists().select_from(self._departments).where(foreign).correlate(FeedbackRow),
        )


def _as_feedback(row: FeedbackRow) -> Feedback:
    return Feedback(
        id=row.id,
        tenant=row.tenant,
        departments=tuple(row.departments),
        subject=row.subject,
        trace_id=row.trace_id,
        value=row.value,
        comment=row.comment,
        created_at=row.created_at,
    )
