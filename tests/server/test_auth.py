"""Keys and JWTs of a real issuer, through the dependencies as routes use them."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from prometheus_client import CollectorRegistry, Counter
from starlette.testclient import WebSocketDenialResponse

from llmflow.errors import AuthenticationError, ConfigurationError, ForbiddenError, UpstreamError
from llmflow.schema import Principal, Role, Scope
from llmflow.server import errors
from llmflow.server.auth import Administrator, Authenticator, Caller, Editor, Reader
from llmflow.server.limits import RateLimiter
from llmflow.server.oidc import TokenVerifier
from llmflow.settings import AuthSettings
from llmflow.stores.database import Database
from llmflow.stores.keys import KeyStore
from llmflow.stores.keyvalue import open_keyvalue

RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def public(key: Any, kid: str, **fields: str) -> dict[str, Any]:
    kind = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    algorithm = next((kind[base] for base in kind if isinstance(key, base)), OKPAlgorithm)
    made: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))
    return {**made, "kid": kid, "use": "sig", **fields}


class Issuer:
    """An OIDC issuer on a port of its own; ``paths`` are the calls it got."""

    def __init__(self) -> None:
        issuer = self
        self.keys: list[dict[str, Any]] = [public(RSA_KEY, "one"), public(EC_KEY, "ec"), public(ED_KEY, "ed")]
        self.paths: list[str] = []
        self.broken = False

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.paths.append(self.path)
                body = {
                    "/realms/acme/.well-known/openid-configuration": issuer.discovery,
                    "/keys": {"keys": issuer.keys},
                }.get(self.path)
                self.send_response(500 if issuer.broken else 200 if body else 404)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self.server.server_port}"
        self.url = f"{self.root}/realms/acme"
        self.discovery: Any = {"issuer": self.url, "jwks_uri": f"{self.root}/keys"}
        Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": "llmflow",
            "sub": "u-17",
            "iat": now,
            "exp": now + 300,
            "tenant": "acme",
            "departments": ["hr", "it"],
            "role": "editor",
        }
        return {name: value for name, value in {**claims, **changes}.items() if value is not None}

    def token(self, key: Any = RSA_KEY, algorithm: str = "RS256", kid: str | None = "one", **changes: Any) -> str:
        return jwt.encode(self.claims(**changes), key, algorithm, headers={"kid": kid} if kid else None)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    running = Issuer()
    yield running
    running.server.shutdown()
    running.server.server_close()


def verifier(issuer: Issuer, refetch_s: float = 0.0, **settings: Any) -> TokenVerifier:
    return TokenVerifier(AuthSettings(issuer=issuer.url, **settings), refetch_s)


def test_a_good_token_names_who_calls(issuer: Issuer) -> None:
    principal = verifier(issuer).principal(issuer.token())
    assert principal == Principal("jwt:u-17", Scope("acme", ("hr", "it"), "jwt:u-17"), Role.EDITOR)
    assert issuer.paths == ["/realms/acme/.well-known/openid-configuration", "/keys"]


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [(EC_KEY, "ES256", "ec"), (ED_KEY, "EdDSA", "ed"), (RSA_KEY, "RS256", "one")],
)
def test_signatures_of_every_kind_of_key(issuer: Issuer, key: Any, algorithm: str, kid: str) -> None:
    assert verifier(issuer).principal(issuer.token(key, algorithm, kid)).subject == "jwt:u-17"


def test_the_address_of_the_keys_may_be_set(issuer: Issuer) -> None:
    assert verifier(issuer, jwks_url=f"{issuer.root}/keys").principal(issuer.token())
    assert issuer.paths == ["/keys"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": -120}, "expired"),
        ({"nbf": 120}, "not_yet_valid"),
        ({"iat": 120}, "not_yet_valid"),
        ({"aud": "another-service"}, "audience"),
        ({"aud": ["another-service"]}, "audience"),
        ({"iss": "https://evil.example.com"}, "issuer"),
        ({"exp": None}, "claim_missing"),
        ({"iss": None}, "claim_missing"),
        ({"aud": None}, "claim_missing"),
        ({"sub": None}, "claim_missing"),
        ({"sub": 17}, "invalid"),
    ],
)
def test_tokens_of_the_issuer_that_are_not_valid_here_and_now(
    issuer: Issuer, changes: dict[str, Any], reason: str
) -> None:
    now = int(time.time())
    timed = {name: now + value if name in ("exp", "nbf", "iat") and value else value for name, value in changes.items()}
    with pytest.raises(AuthenticationError) as caught:
        verifier(issuer).principal(issuer.token(**timed))
    assert caught.value.details == {"reason": reason}


def test_clocks_may_differ_by_the_leeway(issuer: Issuer) -> None:
    now = int(time.time())
    within = verifier(issuer)
    assert within.principal(issuer.token(exp=now - 40))
    assert within.principal(issuer.token(nbf=now + 40, iat=now + 40))
    with pytest.raises(AuthenticationError):
        verifier(issuer, leeway_s=0).principal(issuer.token(exp=now - 1))


def by_hand(issuer: Issuer, sign: Callable[[bytes], bytes], **header: Any) -> str:
    parts = (json.dumps(part).encode() for part in ({"typ": "JWT", "kid": "one", **header}, issuer.claims()))
    content = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    return (content + b"." + base64.urlsafe_b64encode(sign(content)).rstrip(b"=")).decode()


def unsigned(issuer: Issuer, **header: Any) -> str:
    return by_hand(issuer, lambda content: b"", **header)


def with_secret(issuer: Issuer, secret: bytes, kid: str = "one") -> str:
    return by_hand(issuer, lambda content: hmac.digest(secret, content, "sha256"), alg="HS256", kid=kid)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_forged_tokens_are_refused_and_told_nothing(issuer: Issuer) -> None:
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    issuer.keys.append({"kty": "oct", "kid": "shared", "k": base64.urlsafe_b64encode(b"s" * 32).decode()})
    weak = rsa.generate_private_key(65537, 1024)
    issuer.keys.append(public(weak, "weak"))
    good = issuer.token()
    header, payload, signature = good.split(".")
    forged = {
        "another key": issuer.token(OTHER_KEY),
        "expired and another key": issuer.token(OTHER_KEY, exp=1),
        "no algorithm": unsigned(issuer, alg="none"),
        "no algorithm, spelt otherwise": unsigned(issuer, alg="NonE"),
        "public key as secret": with_secret(issuer, pem),
        "published secret": with_secret(issuer, b"s" * 32, "shared"),
        "unknown key": issuer.token(OTHER_KEY, kid="two"),
        "no key": issuer.token(kid=None),
        "key of another kind": issuer.token(EC_KEY, "ES256", "one"),
        "short key": issuer.token(weak, "RS256", "weak"),
        "changed": f"{header}.{payload[:-4]}AAAA.{signature}",
        "cut": good[:-1],
        "no signature": f"{header}.{payload}.",
        "no token": "휴가",
        "two parts": f"{header}.{payload}",
        "deep header": base64.urlsafe_b64encode(b'{"a":' + b"[" * 40_000).decode().rstrip("=") + "..",
        "key given along": unsigned(issuer, alg="RS256", jwk=public(OTHER_KEY, "one"), jku=f"{issuer.root}/evil"),
    }
    verify = verifier(issuer)
    told = {}
    for name, token in forged.items():
        with pytest.raises(AuthenticationError) as caught:
            verify.principal(token)
        told[name] = caught.value.to_dict()
    assert {str(error) for error in told.values()} == {str(told["another key"])}
    assert told["another key"]["details"] == {"reason": "invalid"}
    assert f"{issuer.root}/evil" not in issuer.paths
    assert verify.principal(good)


def test_a_rotated_key_is_fetched_and_the_old_one_refused(issuer: Issuer) -> None:
    verify = verifier(issuer)
    old = issuer.token()
    assert verify.principal(old)
    issuer.keys = [public(OTHER_KEY, "two")]
    assert verify.principal(issuer.token(OTHER_KEY, kid="two"))
    with pytest.raises(AuthenticationError):
        verify.principal(old)


def test_unknown_keys_do_not_make_it_call_the_issuer_again_and_again(issuer: Issuer) -> None:
    verify = verifier(issuer, refetch_s=60)
    for number in range(20):
        with pytest.raises(AuthenticationError):
            verify.principal(issuer.token(kid=f"unknown-{number}"))
        assert verify.principal(issuer.token())
    assert issuer.paths.count("/keys") == 1


def test_an_issuer_that_fails_is_an_upstream_error_and_left_alone(issuer: Issuer) -> None:
    issuer.broken = True
    verify = verifier(issuer, refetch_s=60)
    for _ in range(5):
        with pytest.raises(UpstreamError, match=issuer.url):
            verify.principal(issuer.token())
    assert len(issuer.paths) == 1

    issuer.broken = False
    patient = verifier(issuer)
    assert patient.principal(issuer.token())
    issuer.broken = True
    assert patient.principal(issuer.token())  # its keys are known
    with pytest.raises(UpstreamError):
        patient.principal(issuer.token(kid="unknown"))
    assert patient.principal(issuer.token())
    issuer.broken = False
    issuer.keys.append(public(OTHER_KEY, "two"))
    assert patient.principal(issuer.token(OTHER_KEY, kid="two"))


def test_nobody_listens_at_the_issuers_address() -> None:
    key = jwt.encode({"sub": "x"}, RSA_KEY, "RS256", headers={"kid": "one"})
    with pytest.raises(UpstreamError):
        TokenVerifier(AuthSettings(issuer="http://127.0.0.1:9/realms/acme")).principal(key)


@pytest.mark.parametrize("answer", [[], {}, {"issuer": "x"}, {"issuer": None, "jwks_uri": "file:///etc/passwd"}])
def test_what_is_no_discovery_document_is_an_upstream_error(issuer: Issuer, answer: Any) -> None:
    issuer.discovery = answer
    with pytest.raises(UpstreamError):
        verifier(issuer).principal(issuer.token())


def test_the_discovery_document_of_another_issuer_is_a_wrong_setting(issuer: Issuer) -> None:
    issuer.discovery = {**issuer.discovery, "issuer": f"{issuer.url}/"}
    with pytest.raises(ConfigurationError, match=r"set auth\.issuer to exactly that"):
        verifier(issuer).principal(issuer.token())


@pytest.mark.parametrize("setting", ["issuer", "jwks_url"])
def test_addresses_that_are_none_are_refused_at_once(setting: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"auth\.{setting}"):
        TokenVerifier(AuthSettings(**{"issuer": "https://sso.example.com", setting: "file:///etc/passwd"}))


NESTED = {
    "tenant_claim": "organization.id",
    "departments_claim": "https://llmflow.example.com/departments",
    "role_claim": "realm_access.roles",
}


def test_claims_may_be_nested_or_named_by_an_address(issuer: Issuer) -> None:
    claims = {
        "organization": {"id": "acme"},
        "https://llmflow.example.com/departments": "legal",
        "realm_access": {"roles": ["offline_access", "reader", "administrator", "editor"]},
        "tenant": None,
        "departments": None,
        "role": None,
    }
    principal = verifier(issuer, **NESTED).principal(issuer.token(**claims))
    assert (principal.scope.tenant, principal.scope.departments) == ("acme", ("legal",))
    assert principal.role is Role.ADMINISTRATOR


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"tenant": None}, "tenant"),
        ({"tenant": ""}, "tenant"),
        ({"tenant": ["acme"]}, "tenant"),
        ({"tenant": "ac\x1fme"}, "tenant"),
        ({"departments": None}, "departments"),
        ({"departments": []}, "departments"),
        ({"departments": ""}, "departments"),
        ({"departments": ["hr", 7]}, "departments"),
        ({"departments": {"hr": True}}, "departments"),
        ({"role": None}, "role"),
        ({"role": "root"}, "role"),
        ({"role": ["offline_access"]}, "role"),
        ({"role": {"editor": True}}, "role"),
        ({"sub": ""}, "sub"),
        ({"sub": "s" * 201}, "sub"),
    ],
)
def test_tokens_that_name_no_tenant_department_or_role(issuer: Issuer, changes: dict[str, Any], param: str) -> None:
    claims = {**issuer.claims(), **changes}
    token = jwt.encode(
        {name: value for name, value in claims.items() if value is not None}, RSA_KEY, "RS256", headers={"kid": "one"}
    )
    with pytest.raises(ForbiddenError, match=param) as caught:
        verifier(issuer).principal(token)
    assert caught.value.param == param


# -- through the dependencies --------------------------------------------------------------------


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
