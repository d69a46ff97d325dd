"""Keys of the API: shown once, kept as hashes, revocable, expiring."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, or_, select, update
from sqlalchemy.orm import sessionmaker

from llmflow.errors import AuthenticationError, InvalidInputError, NotFoundError
from llmflow.schema import ApiKey, Role
from llmflow.stores.engine import READS
from llmflow.stores.tables import ApiKeyRow, storable

PREFIX = "llmflow_"
"""What every key starts with, so that people and secret scanners know one when they see it."""

_KEY = re.compile(rf"{PREFIX}([0-9a-f]{{16}})_([0-9a-f]{{64}})")
_ID_PREFIX = re.compile("[0-9a-f]{1,16}")
_NO_HASH = "0" * 64
_LAST_USED_PRECISION = timedelta(minutes=1)
_NAME = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,255}")
_LONGEST_LIFE = timedelta(days=36_500)


class KeyStore:
    """The keys of every tenant, in the metadata database. Safe between threads.

    Args:
        engine: the metadata database's.
    """

    def __init__(self, engine: Engine) -> None:
        self._writing = sessionmaker(engine)
        self._reading = sessionmaker(engine.execution_options(**{READS: True}))

    def create(
        self,
        tenant: str,
        departments: Sequence[str],
        role: Role,
        name: str | None = None,
        expires_in: timedelta | None = None,
    ) -> tuple[str, ApiKey]:
        """A new key and its record. The key's text is known to nobody afterwards.

        Raises:
            InvalidInputError: the tenant or a department is no name, there is no department, or
                the key would have expired already.
        """
        check_names(tenant, departments)
        if expires_in is not None and not timedelta(0) < expires_in <= _LONGEST_LIFE:
            raise InvalidInputError(
                f"a key cannot expire after {expires_in.days} days; allowed are 1 to {_LONGEST_LIFE.days}, or none",
                param="expires_in",
            )
        secret = secrets.token_hex(32)
        now = datetime.now(UTC)
        row = ApiKeyRow(
            id=secrets.token_hex(8),
            tenant=tenant,
            departments=list(dict.fromkeys(departments)),
            role=role,
            name=None if name is None else storable(name),
            secret_hash=_hash(secret),
            created_at=now,
            expires_at=None if expires_in is None else now + expires_in,
        )
        with self._writing.begin() as session:
            session.add(row)
            session.flush()
            return f"{PREFIX}{row.id}_{secret}", _as_key(row)

    def verify(self, text: str) -> ApiKey:
        """The record of a key that may be used now.

        Raises:
            AuthenticationError: it may not. Only to who has the key's secret do ``details``
                say whether it is expired or revoked.
        """
        match = _KEY.fullmatch(text)
        if match is None:
            raise refused()
        id, secret = match.groups()
        with self._reading.begin() as session:
            row = session.get(ApiKeyRow, id)
            key, stored_hash = (None, _NO_HASH) if row is None else (_as_key(row), row.secret_hash)
        # An unknown id takes the same steps as a wrong secret.
        if not hmac.compare_digest(_hash(secret), stored_hash) or key is None:
            raise refused()
        now = datetime.now(UTC)
        if key.revoked_at is not None:
            raise refused("revoked", revoked_at=key.revoked_at.isoformat())
        if key.expires_at is not None and key.expires_at <= now:
            raise refused("expired", expired_at=key.expires_at.isoformat())
        if key.last_used_at is None or now - key.last_used_at > _LAST_USED_PRECISION:
            self._note_use(id, now)
        return key

    def list(self, tenant: str) -> tuple[ApiKey, ...]:
        """The keys of a tenant, newest first, also those that may be used no more."""
        query = select(ApiKeyRow).where(ApiKeyRow.tenant == tenant).order_by(ApiKeyRow.created_at.desc(), ApiKeyRow.id)
        with self._reading.begin() as session:
            return tuple(_as_key(row) for row in session.scalars(query))

    def revoke(self, tenant: str, id_prefix: str) -> ApiKey:
        """Make a key useless from now on; revoking it again changes nothing.

        Raises:
            NotFoundError: no key of the tenant has such an id.
            InvalidInputError: several have.
        """
        wanted = id_prefix.lower()
        query = (
            select(ApiKeyRow)
            .where(ApiKeyRow.tenant == tenant, ApiKeyRow.id.startswith(wanted))
            .order_by(ApiKeyRow.id)
            .limit(2)
            .with_for_update()
        )
        with self._writing.begin() as session:
            rows = session.scalars(query).all() if _ID_PREFIX.fullmatch(wanted) else []
            if not rows:
                raise NotFoundError(f"no key with the id {id_prefix!r}; `llmflow keys list` lists them", param="key_id")
            if len(rows) > 1:
                raise InvalidInputError(
                    f"several keys have an id that starts with {id_prefix!r}, among them {rows[0].id} and "
                    f"{rows[1].id}; give more of it",
                    param="key_id",
                )
            rows[0].revoked_at = rows[0].revoked_at or datetime.now(UTC)
            return _as_key(rows[0])

    def _note_use(self, id: str, now: datetime) -> None:
        unnoted = or_(ApiKeyRow.last_used_at.is_(None), ApiKeyRow.last_used_at < now - _LAST_USED_PRECISION)
        with self._writing.begin() as session:
            session.execute(update(ApiKeyRow).where(ApiKeyRow.id == id, unnoted).values(last_used_at=now))


def check_names(tenant: str, departments: Sequence[str]) -> None:
    """Whether a tenant and departments can be a credential's: 1 to 255 characters each, none of them a control.

    Raises:
        InvalidInputError: one of them cannot, or there is no department.
    """
    if not departments:
        raise InvalidInputError("no department is given; a credential needs one at least", param="departments")
    for param, name in (("tenant", tenant), *(("departments", department) for department in departments)):
        if not _NAME.fullmatch(name) or name != name.strip():
            raise InvalidInputError(
                f"{param} {name[:80]!r} is no name; allowed are 1 to 255 characters without control characters "
                "and outer blanks",
                param=param,
            )


def refused(reason: str = "invalid", **details: str) -> AuthenticationError:
    """The error of every credential that is not accepted: one text, whatever the reason."""
    return AuthenticationError(
        "the credential is not valid (any more); send `Authorization: Bearer KEY` with a key made by "
        "`llmflow keys create`",
        param="authorization",
        reason=reason,
        **details,
    )


def _hash(secret: str) -> str:
    # A slow, salted hash protects what people choose. Nobody guesses 256 random bits, however fast the hash.
    return hashlib.sha256(secret.encode()).hexdigest()


def _as_key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        tenant=row.tenant,
        departments=tuple(row.departments),
        role=Role(row.role),
        name=row.name,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
