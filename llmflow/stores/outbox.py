"""Webhooks to be sent: ordered with a job, due in the transaction that ends it."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from llmflow.stores.tables import DocumentRow, JobRow, WebhookRow


def order(job: JobRow, url: str) -> WebhookRow:
    """A webhook for a job's end."""
    return WebhookRow(
        id=uuid.uuid4().hex, tenant=job.tenant, job_id=job.id, url=url, attempts=0, created_at=datetime.now(UTC)
    )


def announce(session: Session, job: JobRow, document: DocumentRow) -> None:
    """Make the webhooks of a job that just ended due; nothing personal is in them but the file's name."""
    for row in session.scalars(select(WebhookRow).where(WebhookRow.job_id == job.id)):
        body = {
            "type": f"job.{job.status}",
            "timestamp": datetime.now(UTC).isoformat(),
            "data": {
                "job_id": job.id,
                "status": job.status,
                "error": job.error,
                "document_id": document.id,
                "document_name": document.name,
                "document_status": document.status,
                "department": document.department,
                "chunks_count": document.chunks_count,
            },
        }
        row.body, row.due_at = json.dumps(body, ensure_ascii=False), datetime.now(UTC)
