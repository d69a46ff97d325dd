"""Documents and their jobs, in SQLite or PostgreSQL through the same code."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NamedTuple

from alembic.util import CommandError
from sqlalchemy import delete, func, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import sessionmaker

from llmflow.errors import ConfigurationError, InvalidInputError, NotFoundError, UpstreamError
from llmflow.schema import Document, DocumentStatus, FailureReason, Job, JobStatus, MetadataValue, Scope
from llmflow.stores import migrations
from llmflow.stores.engine import READS, open_engine
from llmflow.stores.outbox import announce, order
from llmflow.stores.paging import check_page
from llmflow.stores.queue import Lease, lock_document_of, unfinished_jobs
from llmflow.stores.scoping import by_prefix, check_department, document_id, documents_within, running_job, within
from llmflow.stores.tables import DocumentRow, JobRow, as_document, as_job, storable

_NO_OUTCOME = (DocumentStatus.PENDING, DocumentStatus.PROCESSING)


class DocumentPage(NamedTuple):
    """A page of documents, and how many there are on all pages."""

    items: tuple[Document, ...]
    total: int


class Database:
    """The metadata database; its schema is brought up to date when it is opened.

    Every method acts within a scope: what lies outside its tenant and departments does not
    exist. Methods may be called from any thread; each is one transaction.

    Args:
        url: ``sqlite:///PATH`` or ``postgresql://USER@HOST/NAME``.

    Raises:
        ConfigurationError: the URL is malformed, the file is no database of ours, or it was
            written by a newer version.
        UpstreamError: the database server cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        shown = self.engine.url.render_as_string(hide_password=True)
        try:
            migrations.upgrade(self.engine)
        except CommandError as error:
            raise ConfigurationError(
                f"the database {shown} was written by another version of LLMFlow ({error}); "
                "install that version, or name another database",
                param="database.url",
            ) from error
        except DatabaseError as error:
            if self.engine.dialect.name == "sqlite":
                raise ConfigurationError(
                    f"cannot open the database {shown}: {error.orig}; name a file that can be written",
                    param="database.url",
                ) from error
            raise UpstreamError(
                f"the database {shown} does not answer: {error.orig}; check that it runs and that the URL is right",
                param="database.url",
            ) from error
        self._writing = sessionmaker(self.engine)
        self._reading = sessionmaker(self.engine.execution_options(**{READS: True}))

    def ping(self) -> None:
        """Ask the database now; answer, or raise.

        Raises:
            UpstreamError: the database server does not answer.
        """
        with self._reading.begin() as session:
            session.scalar(select(1))

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    # -- ingestion ---------------------------------------------------------------------------

    def submit(
        self,
        scope: Scope,
        department: str,
        *,
        source: str,
        name: str,
        mime_type: str,
        size_bytes: int,
        sha256: str,
        dataset_id: str | None = None,
        metadata: Mapping[str, MetadataValue] | None = None,
        trace_id: str | None = None,
        webhook_url: str | None = None,
        lease: Lease | None = None,
    ) -> Job:
        """Put an ingestion into the queue; with a ``lease`` it is the caller's and runs from now on.

        A document known from before keeps its id, time of creation and counts until
        :meth:`finish`. Jobs of it that never finished are closed as failed.

        Raises:
            InvalidInputError: the department is not among the scope's.
        """
        check_department(scope, department)
        now = datetime.now(UTC)
        with self._writing.begin() as session:
            id_ = document_id(scope.tenant, department, source)
            if self.engine.dialect.name == "postgresql":  # SQLite has one writer at a time
                session.execute(select(func.pg_advisory_xact_lock(int(id_[:15], 16))))
            row = session.get(DocumentRow, id_, with_for_update=True)
            if row is None:
                row = DocumentRow(
                    id=id_,
                    tenant=scope.tenant,
                    department=department,
                    source=storable(source),
                    chunks_count=0,
                    entities_count=0,
                    created_by=scope.user,
                    created_at=now,
                )
                session.add(row)
            row.name, row.mime_type, row.size_bytes, row.sha256 = storable(name), mime_type, size_bytes, sha256
            row.dataset_id, row.custom, row.updated_at = dataset_id, dict(metadata or {}), now
            row.status = DocumentStatus.PROCESSING if lease else DocumentStatus.PENDING
            row.reason, row.message, row.warnings = None, None, []
            session.flush()
            for unfinished in session.scalars(unfinished_jobs(row.id)):
                unfinished.status, unfinished.updated_at = JobStatus.FAILED, now
                unfinished.error = "superseded by a later job of the document"
                announce(session, unfinished, row)
            job = JobRow(
                id=uuid.uuid4().hex,
                document_id=row.id,
                tenant=scope.tenant,
                status=JobStatus.RUNNING if lease else JobStatus.QUEUED,
                attempts=1 if lease else 0,
                worker=lease.worker if lease else None,
                lease_until=lease.until(now) if lease else None,
                trace_id=trace_id,
                created_at=now,
                updated_at=now,
            )
            session.add(job)
            if webhook_url:
                session.add(order(job, webhook_url))
            return as_job(job)

    def advance(self, scope: Scope, job: Job, stage: str, trace_id: str | None = None) -> None:
        """Note that a running job has completed ``stage``, and in which trace.

        Raises:
            NotFoundError: the job runs no more in the scope, or not as this attempt.
        """
        with self._writing.begin() as session:
            lock_document_of(session, job.id)
            row, _ = running_job(session, scope, job)
            row.stage, row.updated_at = stage, datetime.now(UTC)
            row.trace_id = trace_id or row.trace_id

    def receive(self, scope: Scope, job: Job, *, name: str, mime_type: str, size_bytes: int, sha256: str) -> Document:
        """Note what a download brought for the document of a running job; the document as it is now.

        Raises:
            NotFoundError: the job runs no more in the scope, or not as this attempt.
        """
        with self._writing.begin() as session:
            lock_document_of(session, job.id)
            _, row = running_job(session, scope, job)
            row.name, row.mime_type, row.size_bytes, row.sha256 = storable(name), mime_type, size_bytes, sha256
            return as_document(row)

    def finish(
        self,
        scope: Scope,
        job: Job,
        status: DocumentStatus,
        *,
        chunks_count: int = 0,
        entities_count: int = 0,
        reason: FailureReason | None = None,
        message: str | None = None,
        warnings: Sequence[str] = (),
    ) -> Document:
        """Write an ingestion's outcome on the document and its job at once.

        The job is ``DONE`` where the document is ``READY``, and ``FAILED`` with the message otherwise.

        Raises:
            NotFoundError: the job runs no more in the scope, or not as this attempt (its document
                was deleted or is ingested anew).
            InvalidInputError: ``status`` is no outcome, or names a failure without a reason.
        """
        if status in _NO_OUTCOME or (status is DocumentStatus.READY) != (reason is None):
            raise InvalidInputError(
                f"status {status.value!r} with reason {reason!r} is no outcome; allowed: ready without a reason, "
                "or one of empty, needs_ocr, refused, failed with one",
                param="status",
            )
        now = datetime.now(UTC)
        with self._writing.begin() as session:
            lock_document_of(session, job.id)
            running, row = running_job(session, scope, job)
            row.status, row.reason, row.message = status, reason, None if message is None else storable(message)
            row.chunks_count, row.entities_count = chunks_count, entities_count
            row.warnings = [storable(warning) for warning in warnings]
            running.status = JobStatus.DONE if status is DocumentStatus.READY else JobStatus.FAILED
            running.error = None if reason is None else row.message or reason
            running.worker = running.lease_until = None
            row.updated_at = running.updated_at = now
            announce(session, running, row)
            return as_document(row)

    def job(self, scope: Scope, job_id: str) -> tuple[Job, Document]:
        """A job and its document.

        Raises:
            NotFoundError: no such job in the scope.
        """
        query = (
            select(JobRow, DocumentRow)
            .join(DocumentRow, JobRow.document_id == DocumentRow.id)
            .where(*within(scope), JobRow.id == job_id)
        )
        with self._reading.begin() as session:
            found = session.execute(query).one_or_none()
            if found is None:
                raise NotFoundError(f"no job with the id {job_id!r}", param="job_id")
            return as_job(found[0]), as_document(found[1])

    def jobs(self, scope: Scope, document_id: str) -> tuple[Job, ...]:
        """The ingestions of a document, newest first; none where it is not in the scope."""
        query = (
            select(JobRow)
            .join(DocumentRow, JobRow.document_id == DocumentRow.id)
            .where(*within(scope), JobRow.document_id == document_id)
            .order_by(JobRow.created_at.desc(), JobRow.id)
        )
        with self._reading.begin() as session:
            return tuple(as_job(job) for job in session.scalars(query))

    # -- documents ---------------------------------------------------------------------------

    def find(self, scope: Scope, department: str, source: str) -> Document | None:
        """The document from ``source`` in a department, or None."""
        id_ = document_id(scope.tenant, department, source)
        with self._reading.begin() as session:
            row = session.scalar(documents_within(scope).where(DocumentRow.id == id_))
            return None if row is None else as_document(row)

    def get(self, scope: Scope, id_or_prefix: str) -> Document:
        """The document with an id, or with the only id that starts so.

        Raises:
            NotFoundError: no document in the scope has such an id.
            InvalidInputError: several have.
        """
        with self._reading.begin() as session:
            return as_document(by_prefix(session, scope, id_or_prefix))

    def documents(
        self,
        scope: Scope,
        *,
        status: DocumentStatus | None = None,
        name: str | None = None,
        dataset_id: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> DocumentPage:
        """Documents, newest first, all or those of one status, with a text in their name, of one data set.

        Raises:
            InvalidInputError: ``limit`` is below 1 or ``offset`` below 0.
        """
        check_page(limit, offset)
        conditions = within(scope)
        if status is not None:
            conditions.append(DocumentRow.status == status)
        if name is not None:
            conditions.append(DocumentRow.name.icontains(storable(name), autoescape=True))
        if dataset_id is not None:
            conditions.append(DocumentRow.dataset_id == storable(dataset_id))
        page = (
            select(DocumentRow)
            .where(*conditions)
            .order_by(DocumentRow.created_at.desc(), DocumentRow.id)
            .limit(limit)
            .offset(offset)
        )
        with self._reading.begin() as session:
            total = session.scalar(select(func.count()).select_from(DocumentRow).where(*conditions)) or 0
            return DocumentPage(tuple(as_document(row) for row in session.scalars(page)), total)

    @contextmanager
    def holding(self, scope: Scope, document_id: str) -> Iterator[Document]:
        """A document nobody submits anew meanwhile.

        Raises:
            NotFoundError: no such document in the scope.
        """
        with self._writing.begin() as session:
            row = session.scalar(documents_within(scope).where(DocumentRow.id == document_id).with_for_update())
            if row is None:
                raise NotFoundError(f"no document with the id {document_id!r}", param="document_id")
            yield as_document(row)

    def versions(self, scope: Scope, document_ids: Collection[str]) -> dict[str, str]:
        """What changes with every ingestion, of each of the documents that is ready in the scope."""
        query = select(DocumentRow.id, DocumentRow.sha256, DocumentRow.updated_at).where(
            *within(scope), DocumentRow.id.in_(document_ids), DocumentRow.status == DocumentStatus.READY
        )
        with self._reading.begin() as session:
            return {id_: f"{sha256} {updated_at.isoformat()}" for id_, sha256, updated_at in session.execute(query)}

    def counts(self, scope: Scope) -> dict[DocumentStatus, int]:
        """How many documents stand where; every status is there, with 0 where it has none."""
        query = select(DocumentRow.status, func.count()).where(*within(scope)).group_by(DocumentRow.status)
        with self._reading.begin() as session:
            found = {DocumentStatus(status): count for status, count in session.execute(query)}
        return {status: found.get(status, 0) for status in DocumentStatus}

    def unfinished_ids(self) -> frozenset[str]:
        """Documents of every tenant that an ingestion was at: for building the search index, never for answering."""
        query = select(DocumentRow.id).where(DocumentRow.status == DocumentStatus.PROCESSING)
        with self._reading.begin() as session:
            return frozenset(session.scalars(query))

    def delete(self, scope: Scope, id_or_prefix: str) -> Document:
        """Delete a document and its jobs; what was deleted is returned.

        Raises:
            NotFoundError: no document in the scope has such an id.
            InvalidInputError: several have.
        """
        with self._writing.begin() as session:
            row = by_prefix(session, scope, id_or_prefix)
            session.refresh(row, with_for_update=True)
            for unfinished in session.scalars(unfinished_jobs(row.id)):
                unfinished.status, unfinished.error = JobStatus.FAILED, "the document was deleted"
                announce(session, unfinished, row)
            session.flush()
            session.execute(delete(DocumentRow).where(DocumentRow.id == row.id))
            return as_document(row)
