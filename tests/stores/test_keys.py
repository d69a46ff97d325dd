from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update

from llmflow.errors import AuthenticationError, InvalidInputError, NotFoundError
from llmflow.schema import Role
from llmflow.stores.database import Database
from llmflow.stores.keys import KeyStore
from llmflow.stores.tables import ApiKeyRow


@pytest.fixture
def keys(database: Database) -> KeyStore:
    return KeyStore(database.engine)


def set_times(database: Database, key_id: str, **values: datetime) -> None:
    with database.engine.begin() as connection:
        connection.execute(update(ApiKeyRow).where(ApiKeyRow.id == key_id).values(**values))


def refusal(keys: KeyStore, key: str) -> AuthenticationError:
    with pytest.raises(AuthenticationError) as caught:
        keys.verify(key)
    return caught.value


def test_a_key_is_accepted_and_says_whose_it_is(keys: KeyStore) -> None:
    before = datetime.now(UTC)
    key, made = keys.create("acme", ("hr", "it", "hr"), Role.EDITOR, "인사 챗봇", timedelta(days=90))
    assert re.fullmatch(rf"llmflow_{made.id}_[0-9a-f]{{64}}", key)
    found = keys.verify(key)
    assert found == made
    assert (found.tenant, found.departments, found.role, found.name) == ("acme", ("hr", "it"), Role.EDITOR, "인사 챗봇")
    assert found.expires_at == found.created_at + timedelta(days=90)
    assert before <= found.created_at <= datetime.now(UTC)


def test_only_the_hash_of_the_secret_is_stored(keys: KeyStore, database: Database) -> None:
    key, made = keys.create("acme", ("hr",), Role.READER)
    secret = key.rsplit("_", 1)[1]
    with database.engine.connect() as connection:
        row = connection.execute(text("select * from api_keys")).mappings().one()
    assert row["secret_hash"] == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in str(dict(row))
    assert secret not in repr(made)


def test_what_is_no_key_is_refused_with_one_text_and_tells_nothing(keys: KeyStore) -> None:
    key, made = keys.create("acme", ("hr",), Role.READER)
    other, _ = keys.create("acme", ("hr",), Role.READER)
    secret, other_secret = (text.rsplit("_", 1)[1] for text in (key, other))
    bad = [
        "",
        "llmflow_",
        made.id,
        secret,
        key[:-1],
        key + "0",
        key + "\n",
        key.upper(),
        f"llmflow_{made.id}_{other_secret}",
        f"llmflow_{'0' * 16}_{secret}",
        f"llmflow_{made.id}_{'0' * 64}",
        f"llmflow_{'%' * 16}_{secret}",
        "llmflow_휴가_규정",
    ]
    assert len({str(refusal(keys, text).to_dict()) for text in bad}) == 1
    assert refusal(keys, bad[0]).details == {"reason": "invalid"}
    assert keys.verify(key)


def test_an_expired_or_revoked_key_says_so_to_its_owner_only(keys: KeyStore, database: Database) -> None:
    expired, expired_key = keys.create("acme", ("hr",), Role.READER, expires_in=timedelta(days=1))
    revoked, revoked_key = keys.create("acme", ("hr",), Role.READER)
    assert keys.verify(expired)
    assert keys.verify(revoked)
    set_times(database, expired_key.id, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    keys.revoke("acme", revoked_key.id)
    errors = {"expired": refusal(keys, expired), "revoked": refusal(keys, revoked)}
    assert {name: error.details["reason"] for name, error in errors.items()} == {name: name for name in errors}
    unknown = refusal(keys, "llmflow_" + "0" * 16 + "_" + "0" * 64)
    assert {error.message for error in errors.values()} == {unknown.message}
    for key in (expired, revoked):
        assert refusal(keys, key[:-64] + "0" * 64).to_dict() == unknown.to_dict()


def test_keys_of_other_tenants_are_neither_listed_nor_revoked(keys: KeyStore) -> None:
    first, mine = keys.create("acme", ("hr",), Role.READER, "first")
    _, second = keys.create("acme", ("it",), Role.READER, "second")
    foreign_text, foreign = keys.create("globex", ("hr",), Role.ADMINISTRATOR, "foreign")
    assert [key.name for key in keys.list("acme")] == ["second", "first"]
    assert keys.list("initech") == ()
    absent = "0123456789abcdef"
    for id in (foreign.id, foreign.id[:6], absent, "", "%", "_" * 16, foreign.id + "0"):
        with pytest.raises(NotFoundError) as caught:
            keys.revoke("acme", id)
        assert caught.value.message == f"no key with the id {id!r}; `llmflow keys list` lists them"
    assert keys.verify(foreign_text).revoked_at is None

    revoked = keys.revoke("acme", mine.id[:10].upper())
    assert revoked.revoked_at is not None
    assert keys.revoke("acme", mine.id) == revoked
    assert [key.revoked_at is None for key in keys.list("acme")] == [True, False]
    assert refusal(keys, first).details["reason"] == "revoked"
    assert second in keys.list("acme")


def test_a_prefix_of_several_ids_revokes_none(keys: KeyStore) -> None:
    made = [keys.create("acme", ("hr",), Role.READER)[1] for _ in range(17)]
    digits = [key.id[0] for key in made]
    shared = next(digit for digit in digits if digits.count(digit) > 1)
    with pytest.raises(InvalidInputError, match="several keys"):
        keys.revoke("acme", shared)
    assert all(key.revoked_at is None for key in keys.list("acme"))


def test_the_last_use_is_noted_once_a_minute(keys: KeyStore, database: Database) -> None:
    key, made = keys.create("acme", ("hr",), Role.READER)
    assert made.last_used_at is None
    keys.verify(key)
    (noted,) = keys.list("acme")
    assert noted.last_used_at is not None
    keys.verify(key)
    assert keys.list("acme") == (noted,)
    set_times(database, made.id, last_used_at=noted.last_used_at - timedelta(seconds=70))
    keys.verify(key)
    (again,) = keys.list("acme")
    assert again.last_used_at is not None
    assert again.last_used_at > noted.last_used_at
    refusal(keys, key[:-1] + ("0" if key[-1] != "0" else "1"))
    assert keys.list("acme") == (again,)


@pytest.mark.parametrize(
    ("tenant", "departments", "days", "says"),
    [
        ("", ("hr",), 1, "tenant '' is no name"),
        ("ac\x1fme", ("hr",), 1, "tenant"),
        ("a" * 256, ("hr",), 1, "1 to 255"),
        ("acme", (), 1, "no department"),
        ("acme", ("hr", " it"), 1, "departments ' it'"),
        ("acme", ("hr", "\ud800"), 1, "departments"),
        ("acme", ("hr",), 0, "0 days"),
        ("acme", ("hr",), 40_000, "40000 days"),
    ],
)
def test_keys_that_cannot_work_are_not_made(
    keys: KeyStore, tenant: str, departments: tuple[str, ...], days: int, says: str
) -> None:
    with pytest.raises(InvalidInputError, match=says):
        keys.create(tenant, departments, Role.READER, expires_in=timedelta(days=days))
    assert keys.list("acme") == ()
