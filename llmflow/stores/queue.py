"""The queue of ingestion jobs: who works on what, and what dead processes left.

A process that works on a job holds a lease on it and renews it. A job whose lease is over, or
whose process is known to be dead, may be taken over; each taking counts as an attempt, and
what an earlier attempt still tries to write is refused.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Engine, Select, and_, func, or_, select, update
from sqlalchemy.orm import Session, sessionmaker

from llmflow.schema import Document, DocumentStatus, Job, JobStatus, Scope
from llmflow.stores.engine import READS
from llmflow.stores.tables import DocumentRow, JobRow, as_document, as_job

STAGED = "staged"
"""The stage of a job whose rows wait in the object store for the process that owns the vector store."""
_UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of a process to work on a job for ``seconds`` from its last sign of life."""

    worker: str
    seconds: float

    def until(self, now: datetime) -> datetime:
        """When it ends."""
        return now + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Claim:
    """A job taken from the queue: the scope is its document's, and its owner's.

    ``crashes`` counts the attempts that ended with their process.
    """

    scope: Scope
    job: Job
    document: Document
    crashes: int = 0


def unfinished_jobs(document_id: str) -> Select[JobRow]:
    """The jobs of a document that are queued or run."""
    return select(JobRow).where(JobRow.document_id == document_id, JobRow.status.in_(_UNFINISHED))


def lock_document_of(session: Session, job_id: str) -> None:
    """Lock the document before its job, as every transaction on both does: none can wait for another in a circle."""
    session.execute(
        select(DocumentRow.id)
        .join(JobRow, JobRow.document_id == DocumentRow.id)
        .where(JobRow.id == job_id)
        .with_for_update(of=DocumentRow)
    )


class JobQueue:
    """The jobs of every tenant, for the processes that work on them; never for answering.

    Args:
        engine: the metadata database's.
    """

    def __init__(self, engine: Engine) -> None:
        self._writing = sessionmaker(engine)
        self._reading = sessionmaker(engine.execution_options(**{READS: True}))

    def claim(self, job_id: str, lease: Lease, dead: Collection[str] = (), *, owner: bool = True) -> Claim | None:
        """Take a job that waits, or that a dead process left; None where there is nothing to take.

        Args:
            dead: workers known to be dead, whatever their leases say.
            owner: whether the vector store is the caller's; others find nothing to do in staged jobs.
        """
        now = datetime.now(UTC)
        query = (
            select(JobRow, DocumentRow)
            .join(DocumentRow, JobRow.document_id == DocumentRow.id)
            .where(JobRow.id == job_id, _free(now, dead))
            .with_for_update()
        )
        if not owner:
            query = query.where(or_(JobRow.stage.is_(None), JobRow.stage != STAGED))
        with self._writing.begin() as session:
            lock_document_of(session, job_id)
            found = session.execute(query).one_or_none()
            if found is None:
                return None
            job, document = found
            job.crashes += job.status == JobStatus.RUNNING and job.worker != lease.worker
            job.status, job.worker, job.lease_until = JobStatus.RUNNING, lease.worker, lease.until(now)
            job.attempts += 1
            job.updated_at = now
            document.status = DocumentStatus.PROCESSING
            session.flush()
            scope = Scope(document.tenant, (document.department,), document.created_by)
            return Claim(scope, as_job(job), as_document(document), job.crashes)

    def renew(self, lease: Lease, job_ids: Collection[str]) -> None:
        """A sign of life: these jobs of the lease's process are its own for another while."""
        now = datetime.now(UTC)
        with self._writing.begin() as session:
            session.execute(
                update(JobRow)
                .where(JobRow.id.in_(job_ids), JobRow.worker == lease.worker, JobRow.status == JobStatus.RUNNING)
                .values(lease_until=lease.until(now))
            )

    def put_back(self, claim: Claim, stage: str | None = None) -> None:
        """Let a job wait again: for another try, or, done as far as ``stage``, for the process that goes on."""
        values: dict[str, object] = {"status": JobStatus.QUEUED, "worker": None, "lease_until": None}
        if stage is not None:
            values["stage"] = stage
        with self._writing.begin() as session:
            session.execute(
                update(JobRow)
                .where(
                    JobRow.id == claim.job.id,
                    JobRow.status == JobStatus.RUNNING,
                    JobRow.attempts == claim.job.attempts,
                )
                .values(updated_at=datetime.now(UTC), **values)
            )

    def due(self, dead: Collection[str] = ()) -> list[Job]:
        """Jobs to be taken, oldest first."""
        query = select(JobRow).where(_free(datetime.now(UTC), dead)).order_by(JobRow.created_at, JobRow.id)
        with self._reading.begin() as session:
            return [as_job(row) for row in session.scalars(query)]

    def workers(self) -> frozenset[str]:
        """The processes that hold leases, dead or alive."""
        query = select(JobRow.worker).where(JobRow.status == JobStatus.RUNNING, JobRow.worker.is_not(None)).distinct()
        with self._reading.begin() as session:
            return frozenset(worker for worker in session.scalars(query) if worker)

    def depth(self) -> dict[JobStatus, int]:
        """How many jobs wait and run."""
        query = select(JobRow.status, func.count()).where(JobRow.status.in_(_UNFINISHED)).group_by(JobRow.status)
        with self._reading.begin() as session:
            found = {JobStatus(status): count for status, count in session.execute(query)}
        return {status: found.get(status, 0) for status in _UNFINISHED}


def _free(now: datetime, dead: Collection[str]) -> ColumnElement[bool]:
    left = or_(JobRow.lease_until.is_(None), JobRow.lease_until < now, JobRow.worker.in_(dead))
    return or_(JobRow.status == JobStatus.QUEUED, and_(JobRow.status == JobStatus.RUNNING, left))
