"""JWTs of a real issuer: what is accepted, what is refused, and what is told."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from oidc_issuer import EC_KEY, ED_KEY, OTHER_KEY, RSA_KEY, Issuer, public

from llmflow.errors import AuthenticationError, ConfigurationError, ForbiddenError, UpstreamError
from llmflow.schema import Principal, Role, Scope
from llmflow.server.oidc import TokenVerifier
from llmflow.settings import AuthSettings


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    running = Issuer()
    yield running
    running.close()


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
