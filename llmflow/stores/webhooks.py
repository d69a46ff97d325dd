"""Webhooks that are due, and the secrets they are signed with."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Engine, delete, exists, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import sessionmaker

from llmflow.stores.engine import READS
from llmflow.stores.tables import SecretRow, WebhookRow, storable

_SECRET = "webhook"
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook to be sent now, for the ``attempt``-th time."""

    id: str
    tenant: str
    job_id: str
    url: str
    body: str
    attempt: int


class WebhookStore:
    """The webhooks of every tenant, for the process that sends them. Safe between threads and processes.

    Args:
        engine: the metadata database's.
    """

    def __init__(self, engine: Engine) -> None:
        self._writing = sessionmaker(engine)
        self._reading = sessionmaker(engine.execution_options(**{READS: True}))

    def claim(self, limit: int, lease: timedelta) -> list[Delivery]:
        """Take webhooks that are due, the longest due first; nobody else gets them while the lease lasts.

        Taking one makes it due again at the lease's end, so that a process that dies loses none.
        """
        now = datetime.now(UTC)
        with self._reading.begin() as session:
            if not session.scalar(select(exists().where(_due(now)))):
                return []
        query = (
            select(WebhookRow)
            .where(_due(now))
            .order_by(WebhookRow.due_at, WebhookRow.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._writing.begin() as session:
            rows = session.scalars(query).all()
            for row in rows:
                row.attempts, row.due_at = row.attempts + 1, now + lease
            return [Delivery(row.id, row.tenant, row.job_id, row.url, row.body or "", row.attempts) for row in rows]

    def delivered(self, delivery: Delivery) -> None:
        """It arrived."""
        with self._writing.begin() as session:
            session.execute(update(WebhookRow).where(WebhookRow.id == delivery.id).values(due_at=None, error=None))

    def failed(self, delivery: Delivery, error: str, pause: timedelta | None) -> None:
        """It did not arrive: it is due again after ``pause``, or given up where that is None."""
        due_at = None if pause is None else datetime.now(UTC) + pause
        with self._writing.begin() as session:
            session.execute(
                update(WebhookRow)
                # Not where another process took it over after the lease, or has delivered it.
                .where(
                    WebhookRow.id == delivery.id,
                    WebhookRow.attempts == delivery.attempt,
                    WebhookRow.due_at.is_not(None),
                )
                .values(due_at=due_at, error=storable(error))
            )

    def prune(self, age: timedelta) -> int:
        """Delete webhooks that were delivered or given up and are older than ``age``; how many there were."""
        ended = (WebhookRow.body.is_not(None), WebhookRow.due_at.is_(None))
        with self._writing.begin() as session:
            gone = session.execute(
                delete(WebhookRow)
                .where(*ended, WebhookRow.created_at < datetime.now(UTC) - age)
                .returning(WebhookRow.id)
            )
            return len(gone.all())

    def secret(self, tenant: str) -> str:
        """What a tenant's webhooks are signed with: ``whsec_`` and 32 random bytes in Base64; made at first use."""
        with self._reading.begin() as session:
            if row := session.get(SecretRow, (tenant, _SECRET)):
                return row.value
        made = f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"
        try:
            with self._writing.begin() as session:
                session.add(SecretRow(tenant=tenant, name=_SECRET, value=made))
            return made
        except IntegrityError:  # another process was first
            return self.secret(tenant)


def _due(now: datetime) -> ColumnElement[bool]:
    return WebhookRow.due_at <= now
