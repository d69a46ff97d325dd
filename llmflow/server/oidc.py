"""JWTs of one OIDC issuer as credentials.

Sources: RFC 7519 and 8725 (JWT), RFC 7517 (JWKS), OpenID Connect Discovery 1.0.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import jwt
from jwt import PyJWKClient
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuedAtError,
    InvalidIssuerError,
    InvalidTokenError,
    MissingRequiredClaimError,
    PyJWKClientConnectionError,
    PyJWTError,
)

from llmflow.errors import ConfigurationError, ForbiddenError, InvalidInputError, UpstreamError
from llmflow.schema import Principal, Role, Scope
from llmflow.settings import AuthSettings
from llmflow.stores.keys import check_names, refused

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures only the issuer can make; with HMAC, who can check a token could forge one."""

_TIMEOUT_S = 3.0
_REFETCH_S = 10.0
_KEYS_LIVE_S = 300.0
_LONGEST_SUBJECT = 200
_REASONS: Mapping[type[Exception], str] = {
    ExpiredSignatureError: "expired",
    ImmatureSignatureError: "not_yet_valid",
    InvalidIssuedAtError: "not_yet_valid",
    InvalidAudienceError: "audience",
    InvalidIssuerError: "issuer",
    MissingRequiredClaimError: "claim_missing",
}
"""Told only of tokens whose signature is the issuer's."""


class TokenVerifier:
    """Turns JWTs of ``settings.issuer`` into principals. Safe between threads.

    Args:
        settings: with an issuer.
        refetch_s: seconds between two calls of the issuer because of a key it was not known to have.

    Raises:
        ConfigurationError: the issuer or ``jwks_url`` is no http(s) address.
    """

    def __init__(self, settings: AuthSettings, refetch_s: float = _REFETCH_S) -> None:
        self._settings = settings
        self._keys = _IssuerKeys(settings, refetch_s)

    def principal(self, token: str) -> Principal:
        """Who the bearer of ``token`` is.

        Raises:
            AuthenticationError: the token is not the issuer's for this audience, or not valid now.
            ForbiddenError: it is, but names no tenant, no department or no role.
            UpstreamError: the issuer's keys are needed and it does not answer.
            ConfigurationError: the issuer's discovery document is another issuer's.
        """
        settings = self._settings
        try:
            claims = jwt.decode(
                token,
                self._keys.of(token),
                algorithms=list(ALGORITHMS),
                audience=settings.audience,
                issuer=settings.issuer,
                leeway=settings.leeway_s,
                options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
        except PyJWKClientConnectionError as error:
            raise UpstreamError(
                f"the issuer {settings.issuer} does not tell its keys; try again later", param="auth.issuer"
            ) from error
        except (PyJWTError, RecursionError) as error:  # the latter of brackets nested too deeply in the header
            raise refused(_REASONS.get(type(error), "invalid")) from error
        return self._principal(claims)

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        subject = claims["sub"]
        if not 0 < len(subject) <= _LONGEST_SUBJECT:
            raise ForbiddenError(
                f"the token's sub has {len(subject)} characters; allowed are 1 to {_LONGEST_SUBJECT}", param="sub"
            )
        settings = self._settings
        tenant = _claim(claims, settings.tenant_claim)
        departments = _texts(_claim(claims, settings.departments_claim))
        if not isinstance(tenant, str):
            raise _lacking(settings.tenant_claim, "the tenant, a text")
        if not departments:
            raise _lacking(settings.departments_claim, "the departments, a list of texts")
        try:
            check_names(tenant, (*departments, subject))
        except InvalidInputError as error:
            raise ForbiddenError(f"the token cannot be used: {error.message}", param=error.param) from None
        subject = f"jwt:{subject}"
        scope = Scope(tenant, tuple(dict.fromkeys(departments)), subject)
        return Principal(subject, scope, self._role(claims))

    def _role(self, claims: Mapping[str, Any]) -> Role:
        """The highest role among those named; issuers list roles of other programs beside ours."""
        named = _texts(_claim(claims, self._settings.role_claim))
        known = [role for role in Role if role in named]
        if not known:
            raise _lacking(self._settings.role_claim, f"one of the roles {', '.join(Role)}")
        return known[-1]


class _IssuerKeys(PyJWKClient):
    """The issuer's keys, kept for a while; an issuer that fails is left alone for as long as one that answered."""

    def __init__(self, settings: AuthSettings, refetch_s: float) -> None:
        assert settings.issuer is not None
        self._issuer = settings.issuer
        self._discovery = f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        self._jwks_url = settings.jwks_url
        self._refetch_s = refetch_s
        self._failed_at: float | None = None
        for param, url in (("auth.issuer", settings.issuer), ("auth.jwks_url", settings.jwks_url or settings.issuer)):
            if not url.startswith(("https://", "http://")):
                raise ConfigurationError(f"{param} {url!r} is no address; it starts with https://", param=param)
        super().__init__(
            settings.jwks_url or self._discovery,
            lifespan=_KEYS_LIVE_S,
            timeout=_TIMEOUT_S,
            cooldown_duration=refetch_s,
        )

    def of(self, token: str) -> jwt.PyJWK:
        """The key a token says it is signed with."""
        kid = jwt.get_unverified_header(token).get("kid")
        if not isinstance(kid, str):
            raise InvalidTokenError("the token names no key")
        return self.get_signing_key(kid)

    def fetch_data(self) -> Any:
        if self._failed_at is not None and time.monotonic() - self._failed_at < self._refetch_s:
            raise PyJWKClientConnectionError("the issuer did not answer a moment ago")
        try:
            if self._jwks_url is None:
                self.uri = self._discover()
            keys = super().fetch_data()
        except (PyJWTError, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            self._failed_at = time.monotonic()
            raise PyJWKClientConnectionError(str(error)) from error
        self._failed_at = None
        return keys

    def _discover(self) -> str:
        document = httpx.get(self._discovery, timeout=_TIMEOUT_S).raise_for_status().json()
        match document:
            case {"issuer": self._issuer, "jwks_uri": str(jwks_url)}:
                return jwks_url
            case {"issuer": str(issuer), "jwks_uri": str()}:
                raise ConfigurationError(
                    f"{self._discovery} is of the issuer {issuer!r}; set auth.issuer to exactly that",
                    param="auth.issuer",
                )
            case _:
                raise ValueError(f"{self._discovery} is no discovery document")


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or else by the path that dots in the name make; None where there is none."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _texts(value: Any) -> Sequence[str]:
    """A list of texts, or a text as a list of one; nothing of anything else."""
    match value:
        case str():
            return (value,)
        case list() if all(isinstance(item, str) for item in value):
            return value
        case _:
            return ()


def _lacking(claim: str, what: str) -> ForbiddenError:
    return ForbiddenError(
        f"the token's claim {claim!r} does not name {what}; have the issuer add it, or set auth.{{tenant,"
        "departments,role}_claim to the claim that does",
        param=claim,
    )
