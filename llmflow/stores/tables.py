"""Tables of the metadata database, in types that SQLite and PostgreSQL share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from llmflow.schema import Document, DocumentStatus, FailureReason, Job, JobStatus


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC, on databases that keep the zone and on those that drop it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def storable(text: str) -> str:
    """``text`` with NUL and lone surrogates, which one database or the other refuses, replaced by U+FFFD.

    Names and messages come from outside; none of them may keep a row from being written.
    """
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


class Base(DeclarativeBase):
    """Names every constraint, so that a migration can drop it on any database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class DocumentRow(Base):
    """One document of one department; see :class:`llmflow.schema.Document`."""

    __tablename__ = "documents"
    __table_args__ = (
        Index(None, "tenant", "department", "created_at"),
        Index(None, "tenant", "department", "status"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    dataset_id: Mapped[str | None] = mapped_column(String(64))
    tenant: Mapped[str] = mapped_column(String(255))
    department: Mapped[str] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    mime_type: Mapped[str] = mapped_column(String(255))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(32))
    message: Mapped[str | None] = mapped_column(Text)
    chunks_count: Mapped[int] = mapped_column(default=0)
    entities_count: Mapped[int] = mapped_column(default=0)
    warnings: Mapped[list[Any]] = mapped_column(JSON, default=list)
    custom: Mapped[dict[str, Any]] = mapped_column("metadata", JSON, default=dict, server_default="{}")
    created_by: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class JobRow(Base):
    """One ingestion of one document; see :class:`llmflow.schema.Job`."""

    __tablename__ = "jobs"
    __table_args__ = (Index(None, "tenant", "status"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), index=True)
    tenant: Mapped[str] = mapped_column(String(255))
    status: Mapped[str] = mapped_column(String(16))
    stage: Mapped[str | None] = mapped_column(String(64))
    error: Mapped[str | None] = mapped_column(Text)
    trace_id: Mapped[str | None] = mapped_column(String(32))
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    crashes: Mapped[int] = mapped_column(default=0, server_default="0")
    worker: Mapped[str | None] = mapped_column(String(255))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class WebhookRow(Base):
    """A call to be made when a job has ended; it outlives its document."""

    __tablename__ = "webhooks"
    __table_args__ = (Index(None, "due_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(255))
    job_id: Mapped[str] = mapped_column(String(32), index=True)
    url: Mapped[str] = mapped_column(Text)
    body: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SecretRow(Base):
    """A secret of a tenant, such as the one its webhooks are signed with."""

    __tablename__ = "secrets"

    tenant: Mapped[str] = mapped_column(String(255), primary_key=True)
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class ApiKeyRow(Base):
    """A key of the API; only the hash of its secret is kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(255), index=True)
    departments: Mapped[list[Any]] = mapped_column(JSON)
    role: Mapped[str] = mapped_column(String(16))
    name: Mapped[str | None] = mapped_column(Text)
    secret_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class FeedbackRow(Base):
    """A user's judgement of an answer."""

    __tablename__ = "feedback"
    __table_args__ = (Index(None, "tenant", "created_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(255))
    departments: Mapped[list[Any]] = mapped_column(JSON)
    subject: Mapped[str] = mapped_column(String(255))
    trace_id: Mapped[str] = mapped_column(String(32))
    value: Mapped[int] = mapped_column()
    comment: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class MemoryRow(Base):
    """A passage that was accepted for a question; it goes with its document. See :mod:`llmflow.stores.memory`."""

    __tablename__ = "memories"
    __table_args__ = (
        Index(None, "tenant", "department", "created_at"),
        Index(None, "tenant", "subject"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(255))
    department: Mapped[str] = mapped_column(String(255))
    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), index=True)
    chunk_id: Mapped[str | None] = mapped_column(String(64))
    question: Mapped[str] = mapped_column(Text)
    terms: Mapped[bytes] = mapped_column(LargeBinary)
    departments: Mapped[list[Any]] = mapped_column(JSON)
    subject: Mapped[str | None] = mapped_column(String(255))
    origin: Mapped[str] = mapped_column(String(16))
    trace_id: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class CollectedRow(Base):
    """What a scheduled collection saw of a document at its last run."""

    __tablename__ = "collected"

    collection: Mapped[str] = mapped_column(String(64), primary_key=True)
    document_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(255))
    department: Mapped[str] = mapped_column(String(255))
    source: Mapped[str] = mapped_column(Text)
    mark: Mapped[str] = mapped_column(Text)
    """What tells a change without reading: ETag, or size and time of change."""


def as_document(row: DocumentRow) -> Document:
    """The noun of a row."""
    return Document(
        id=row.id,
        tenant=row.tenant,
        department=row.department,
        name=row.name,
        source=row.source,
        mime_type=row.mime_type,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        status=DocumentStatus(row.status),
        chunks_count=row.chunks_count,
        entities_count=row.entities_count,
        reason=None if row.reason is None else FailureReason(row.reason),
        message=row.message,
        warnings=tuple(row.warnings),
        metadata=dict(row.custom),
        dataset_id=row.dataset_id,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def as_job(row: JobRow) -> Job:
    """The noun of a row."""
    return Job(
        id=row.id,
        document_id=row.document_id,
        tenant=row.tenant,
        status=JobStatus(row.status),
        stage=row.stage,
        error=row.error,
        trace_id=row.trace_id,
        attempts=row.attempts,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
