from __future__ import annotations

from pathlib import Path

import pytest
from command_line import run

from llmflow.errors import AuthenticationError
from llmflow.schema import Role
from llmflow.stores.database import Database
from llmflow.stores.keys import KeyStore


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyStore:
    """The keys as the server reads them, in a data folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMFLOW_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LLMFLOW_TENANT", "acme")
    monkeypatch.setenv("LLMFLOW_DEPARTMENT", "hr")
    return KeyStore(Database(f"sqlite:///{tmp_path / 'data' / 'llmflow.db'}").engine)


def test_a_key_is_the_only_thing_on_standard_output(keys: KeyStore) -> None:
    ran = run("keys", "create")
    assert ran.code == 0
    (key,) = ran.out.splitlines()
    verified = keys.verify(key)
    assert (verified.tenant, verified.departments, verified.role) == ("acme", ("hr",), Role.READER)
    assert (verified.name, verified.expires_at) == (None, None)
    assert "shown this once" in ran.err
    assert key not in ran.err
    for shown in (run("keys", "list"), run("keys", "list", "--json")):
        assert verified.id in shown.out
        assert key.rsplit("_", 1)[1] not in shown.out + shown.err


def test_options_say_whose_the_key_is(keys: KeyStore) -> None:
    ran = run(
        *("keys", "create", "--tenant", "globex", "--departments", "hr, it", "--role", "editor"),
        *("--name", "인사 챗봇", "--expires-days", 30, "--json"),
    )
    made = ran.json
    verified = keys.verify(made["key"])
    assert verified.id == made["id"]
    assert (verified.tenant, verified.departments, verified.role) == ("globex", ("hr", "it"), Role.EDITOR)
    assert verified.expires_at is not None
    assert (verified.expires_at - verified.created_at).days == 30
    assert run("keys", "list", "--json").json == {"keys": []}
    assert "인사 챗봇" in run("keys", "list", "--tenant", "globex").out


def test_a_revoked_key_is_refused_from_then_on(keys: KeyStore) -> None:
    made = run("keys", "create", "--json").json
    assert run("keys", "revoke", made["id"], "--tenant", "globex").code == 1
    assert keys.verify(made["key"])
    ran = run("keys", "revoke", made["id"][:12])
    assert ran.code == 0
    assert made["id"] in ran.out
    with pytest.raises(AuthenticationError):
        keys.verify(made["key"])
    assert "revoked" in run("keys", "list").out
    missing = run("keys", "revoke", "0000", "--json")
    assert missing.code == 1
    assert missing.json["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    "arguments",
    [("--role", "root"), ("--expires-days", 0), ("--expires-days", 10**12), ("--departments", ","), ("--tenant", " x")],
)
def test_keys_that_cannot_work_are_not_made(keys: KeyStore, arguments: tuple[str, ...]) -> None:
    ran = run("keys", "create", *arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert keys.list("acme") == ()


def test_the_vector_store_is_not_opened(keys: KeyStore, tmp_path: Path) -> None:
    run("keys", "create")
    assert [path.name for path in (tmp_path / "data").iterdir() if "milvus" in path.name] == []
