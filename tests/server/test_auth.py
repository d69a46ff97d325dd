"""Keys, JWTs, roles and rate limits through the dependencies, as routes use them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from oidc_issuer import OTHER_KEY, Issuer
from prometheus_client import CollectorRegistry, Counter
from starlette.testclient import WebSocketDenialResponse

from llmflow.schema import Role
from llmflow.server import errors
from llmflow.server.auth import Administrator, Authenticator, Caller, Editor, Reader
from llmflow.server.limits import RateLimiter
from llmflow.settings import AuthSettings
from llmflow.stores.database import Database
from llmflow.stores.keys import KeyStore
from llmflow.stores.keyvalue import open_keyvalue


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    running = Issuer()
    yield running
    running.close()


class Metrics:
    """What the dependencies count on the server's metrics."""

    def __init__(self) -> None:
        self.unlimited = Counter("unlimited", "Requests", registry=CollectorRegistry())


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[KeyStore]:
    database = Database(f"sqlite:///{tmp_path / 'llmflow.db'}")
    yield KeyStore(database.engine)
    database.close()


@pytest.fixture
def serve(keys: KeyStore, tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    opened = []

    def build(store_url: str = "", **settings: Any) -> TestClient:
        app = FastAPI()
        errors.install(app)
        auth = AuthSettings(**settings)
        store = open_keyvalue(store_url or f"sqlite:///{tmp_path / 'keyvalue.db'}")
        opened.append(store)
        app.state.authenticator = Authenticator(keys, auth)
        app.state.limiter = RateLimiter(store, auth)
        app.state.metrics = Metrics()

        @app.get("/caller")
        def caller(principal: Caller) -> Any:
            return asdict(principal)

        @app.get("/reader")
        def reader(principal: Reader) -> Any:
            return principal.role

        @app.get("/editor")
        def editor(principal: Editor) -> Any:
            return principal.role

        @app.get("/administrator")
        def administrator(principal: Administrator) -> Any:
            return principal.role

        @app.websocket("/socket")
        async def socket(websocket: WebSocket, principal: Editor) -> None:
            await websocket.accept(subprotocol="llmflow" if websocket.scope["subprotocols"] else None)
            await websocket.send_json([principal.subject, websocket.state.principal.scope.tenant])
            await websocket.close()

        return TestClient(app)

    yield build
    for store in opened:
        store.close()


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def test_a_key_names_who_calls(keys: KeyStore, serve: Callable[..., TestClient]) -> None:
    client = serve()
    key, made = keys.create("acme", ("hr",), Role.READER)
    for header in (f"Bearer {key}", f"bearer  {key} "):
        response = client.get("/caller", headers={"Authorization": header})
        assert response.json() == {
            "subject": f"key:{made.id}",
            "scope": {"tenant": "acme", "departments": ["hr"], "user": f"key:{made.id}"},
            "role": "reader",
        }
    keys.revoke("acme", made.id)
    assert client.get("/caller", headers=bearer(key)).status_code == 401


def test_keys_and_tokens_are_accepted_side_by_side(
    issuer: Issuer, keys: KeyStore, serve: Callable[..., TestClient]
) -> None:
    client = serve(issuer=issuer.url)
    key, _ = keys.create("acme", ("hr",), Role.READER)
    assert client.get("/caller", headers=bearer(key)).status_code == 200
    assert client.get("/caller", headers=bearer(issuer.token())).json()["subject"] == "jwt:u-17"
    assert client.get("/caller", headers=bearer(issuer.token(role="root"))).status_code == 403
    assert client.get("/caller", headers=bearer(issuer.token(OTHER_KEY))).status_code == 401
    issuer.broken = True
    failing = serve(issuer=issuer.url)
    assert failing.get("/caller", headers=bearer(issuer.token())).status_code == 503
    assert failing.get("/caller", headers=bearer(key)).status_code == 200
    assert serve().get("/caller", headers=bearer(issuer.token())).status_code == 401


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "missing"),
        ("", "missing"),
        ("Bearer", "malformed"),
        ("Bearer ", "malformed"),
        ("Basic a2ltOnB3", "malformed"),
        ("llmflow_0123456789abcdef_00", "malformed"),
        ("Bearer \xff", "malformed"),
        ("Bearer x", "invalid"),
        ("Bearer llmflow_x", "invalid"),
    ],
)
def test_without_a_good_credential_there_is_nothing(
    serve: Callable[..., TestClient], header: str | None, reason: str
) -> None:
    client = serve()
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    response = client.get("/caller", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    error = response.json()["error"]
    assert (error["code"], error["details"]) == ("unauthenticated", {"reason": reason})


def test_a_role_may_do_what_lower_ones_may(keys: KeyStore, serve: Callable[..., TestClient]) -> None:
    client = serve()
    allowed = {}
    for role in Role:
        key, _ = keys.create("acme", ("hr",), role)
        allowed[role] = [client.get(f"/{needed}", headers=bearer(key)).status_code for needed in Role]
    assert allowed == {
        Role.READER: [200, 403, 403],
        Role.EDITOR: [200, 200, 403],
        Role.ADMINISTRATOR: [200, 200, 200],
    }
    assert client.get("/administrator").status_code == 401


def test_websockets_take_the_key_as_header_or_subprotocol(keys: KeyStore, serve: Callable[..., TestClient]) -> None:
    client = serve()
    key, made = keys.create("acme", ("hr",), Role.EDITOR)
    reader, _ = keys.create("acme", ("hr",), Role.READER)
    with client.websocket_connect("/socket", headers=bearer(key)) as socket:
        assert socket.receive_json() == [f"key:{made.id}", "acme"]
    with client.websocket_connect("/socket", subprotocols=["llmflow", key]) as socket:
        assert socket.accepted_subprotocol == "llmflow"
        assert socket.receive_json() == [f"key:{made.id}", "acme"]
    for bad, status in (
        ([], 401),
        (["llmflow"], 401),
        (["other", key], 401),
        (["llmflow", key[:-1]], 401),
        (["llmflow", reader], 403),
    ):
        with pytest.raises(WebSocketDenialResponse) as caught, client.websocket_connect("/socket", subprotocols=bad):
            pass
        assert caught.value.status_code == status


def test_a_key_that_calls_too_often_must_wait(keys: KeyStore, serve: Callable[..., TestClient]) -> None:
    client = serve(requests_per_minute=60, burst=3)
    key, _ = keys.create("acme", ("hr",), Role.READER)
    other, _ = keys.create("acme", ("hr",), Role.READER)
    codes = [client.get("/caller", headers=bearer(key)).status_code for _ in range(5)]
    assert codes == [200, 200, 200, 429, 429]
    refused = client.get("/editor", headers=bearer(key))
    assert refused.status_code == 429  # before the role is looked at
    assert refused.headers["Retry-After"] == "1"
    assert 0 < refused.json()["error"]["details"]["retry_after_s"] <= 1
    assert client.get("/caller", headers=bearer(other)).status_code == 200


def test_an_address_that_sends_bad_keys_must_wait_but_good_keys_pass(
    keys: KeyStore, serve: Callable[..., TestClient]
) -> None:
    client = serve()
    key, _ = keys.create("acme", ("hr",), Role.READER)
    codes = [client.get("/caller", headers=bearer("llmflow_x")).status_code for _ in range(25)]
    assert codes[:20] == [401] * 20
    assert codes[-1] == 429
    assert client.get("/caller", headers=bearer(key)).status_code == 200
    assert client.get("/caller").status_code == 401


def test_a_dead_store_limits_nobody_and_is_counted(
    keys: KeyStore, serve: Callable[..., TestClient], caplog: pytest.LogCaptureFixture
) -> None:
    client = serve("redis://127.0.0.1:9/0", burst=1, requests_per_minute=1)
    key, _ = keys.create("acme", ("hr",), Role.READER)
    with caplog.at_level(logging.WARNING):
        assert [client.get("/caller", headers=bearer(key)).status_code for _ in range(3)] == [200] * 3
        assert client.get("/caller", headers=bearer("llmflow_x")).status_code == 401
    assert client.app.state.metrics.unlimited._value.get() == 4  # type: ignore[attr-defined]
    assert [record.message for record in caplog.records if "rate limits are off" in record.message] != []
    assert len([record for record in caplog.records if "rate limits" in record.message]) == 1


def test_openapi_declares_the_scheme(serve: Callable[..., TestClient]) -> None:
    document = serve().get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path in ("/caller", "/reader", "/editor", "/administrator"):
        operation = document["paths"][path]["get"]
        assert operation["security"] == [{"bearer": []}]
        assert "parameters" not in operation


def test_expiry_is_told_to_the_owner(keys: KeyStore, serve: Callable[..., TestClient]) -> None:
    key, _ = keys.create("acme", ("hr",), Role.READER, expires_in=timedelta(milliseconds=1))
    time.sleep(0.01)
    client = serve()
    owner = client.get("/caller", headers=bearer(key)).json()["error"]
    guesser = client.get("/caller", headers=bearer(key[:-64] + "0" * 64)).json()["error"]
    assert owner["details"]["reason"] == "expired"
    assert guesser["details"] == {"reason": "invalid"}
    assert owner["message"] == guesser["message"]
