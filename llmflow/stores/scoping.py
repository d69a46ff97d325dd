"""What a scope may see of the database, and how its documents are named."""

from __future__ import annotations

import hashlib
import re

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from llmflow.errors import InvalidInputError, NotFoundError
from llmflow.schema import Job, JobStatus, Scope
from llmflow.stores.tables import DocumentRow, JobRow

_SEPARATOR = "\x1f"
_ID_PREFIX = re.compile("[0-9a-f]{1,32}")


def document_id(tenant: str, department: str, source: str) -> str:
    """The id of the document from ``source``: 32 hexadecimal digits, the same at every ingestion.

    Raises:
        InvalidInputError: the tenant or department holds the unit separator, U+001F.
    """
    for param, value in (("tenant", tenant), ("department", department)):
        if _SEPARATOR in value:
            raise InvalidInputError(f"{param} {value!r} holds the control character U+001F; remove it", param=param)
    joined = _SEPARATOR.join((tenant, department, source))
    # A file name that is not valid Unicode comes from the operating system with lone surrogates.
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def check_department(scope: Scope, department: str) -> None:
    """Whether documents of a scope may be written to a department.

    Raises:
        InvalidInputError: the department is not among the scope's.
    """
    if department not in scope.departments:
        allowed = ", ".join(scope.departments) or "none"
        raise InvalidInputError(
            f"department {department!r} is outside the scope; allowed: {allowed}", param="department"
        )


def within(scope: Scope) -> list[ColumnElement[bool]]:
    """The conditions every query of documents carries."""
    return [DocumentRow.tenant == scope.tenant, DocumentRow.department.in_(scope.departments)]


def documents_within(scope: Scope) -> Select[DocumentRow]:
    """The documents of a scope."""
    return select(DocumentRow).where(*within(scope))


def by_prefix(session: Session, scope: Scope, prefix: str) -> DocumentRow:
    """The only document of a scope whose id starts with ``prefix``.

    Raises:
        NotFoundError: there is none.
        InvalidInputError: there are several.
    """
    wanted = prefix.lower()
    matches = documents_within(scope).where(DocumentRow.id.startswith(wanted)).order_by(DocumentRow.id).limit(2)
    rows = session.scalars(matches).all() if _ID_PREFIX.fullmatch(wanted) else []
    if not rows:
        raise NotFoundError(f"no document with the id {prefix!r}; `llmflow documents` lists them", param="document_id")
    if len(rows) > 1:
        raise InvalidInputError(
            f"several documents have an id that starts with {prefix!r}, among them "
            f"{rows[0].id} and {rows[1].id}; give more of it",
            param="document_id",
        )
    return rows[0]


def running_job(session: Session, scope: Scope, job: Job) -> tuple[JobRow, DocumentRow]:
    """The row of a job that still runs as this attempt and its document's, locked until the transaction ends.

    Raises:
        NotFoundError: it runs no more, or another process took it over.
    """
    query = (
        select(JobRow, DocumentRow)
        .join(DocumentRow, JobRow.document_id == DocumentRow.id)
        .where(*within(scope), JobRow.id == job.id, JobRow.status == JobStatus.RUNNING, JobRow.attempts == job.attempts)
        .with_for_update()
    )
    found = session.execute(query).one_or_none()
    if found is None:
        raise NotFoundError(
            f"job {job.id} runs no more; its document was deleted, or is ingested anew by a later attempt",
            param="job_id",
        )
    return found[0], found[1]
