"""Who calls, and whether they may: the only place where a tenant and departments come from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Security
from fastapi.openapi.models import HTTPBearer as BearerModel
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from llmflow import logs
from llmflow.errors import AuthenticationError, ForbiddenError
from llmflow.schema import Principal, Role, Scope
from llmflow.server.limits import RateLimiter
from llmflow.server.oidc import TokenVerifier
from llmflow.settings import AuthSettings
from llmflow.stores.keys import PREFIX, KeyStore, refused

SUBPROTOCOL = "llmflow"
"""The WebSocket subprotocol; a client that cannot set headers offers its key as the second one."""

_ROLES = tuple(Role)
"""From the least to the most."""


class Authenticator:
    """Turns credentials into principals: keys of ours, or JWTs of the issuer where there is one.

    Raises:
        ConfigurationError: ``auth.issuer`` or ``auth.jwks_url`` is no address.
    """

    def __init__(self, keys: KeyStore, settings: AuthSettings) -> None:
        self._keys = keys
        self._tokens = TokenVerifier(settings) if settings.issuer else None

    def authenticate(self, header: str | None) -> Principal:
        """The principal of an ``Authorization`` header.

        Raises:
            AuthenticationError: there is none, or its credential is not accepted; ``details``
                have a ``reason``: missing, malformed, invalid, and more to who owns it.
            ForbiddenError: a JWT names no tenant, department or role.
            UpstreamError: the issuer, or the database server, does not answer.
        """
        if not header:
            raise AuthenticationError(
                "there is no credential; send `Authorization: Bearer KEY` with a key made by `llmflow keys create`",
                param="authorization",
                reason="missing",
            )
        scheme, _, credential = header.strip().partition(" ")
        if scheme.lower() != "bearer" or not credential.isascii() or not credential.strip():
            raise AuthenticationError(
                "the Authorization header is malformed; it must be `Bearer KEY`",
                param="authorization",
                reason="malformed",
            )
        credential = credential.strip()
        if credential.startswith(PREFIX):
            key = self._keys.verify(credential)
            subject = f"key:{key.id}"
            return Principal(subject, Scope(key.tenant, key.departments, subject), key.role)
        if self._tokens is None:
            raise refused()
        return self._tokens.principal(credential)


class _Bearer(SecurityBase):
    """Declares the scheme in OpenAPI. The header is read by :func:`caller`, which WebSockets use as well."""

    def __init__(self) -> None:
        self.scheme_name = "bearer"
        self.model = BearerModel(
            description="A key made by `llmflow keys create`, or a JWT of the OIDC issuer that is set."
        )

    def __call__(self) -> None: ...


def caller(connection: HTTPConnection, _scheme: Annotated[None, Security(_Bearer())]) -> Principal:
    """The principal of a request or WebSocket; runs in a thread, as databases and issuers are asked.

    Raises:
        AuthenticationError, ForbiddenError, UpstreamError: see :meth:`Authenticator.authenticate`.
        RateLimitedError: the credential, or the address of a bad one, makes too many requests.
    """
    state = connection.app.state
    limiter: RateLimiter = state.limiter
    header = _header(connection)
    try:
        principal: Principal = state.authenticator.authenticate(header)
    except AuthenticationError:
        if header is not None:
            _count(connection, limiter.failure(connection.client.host if connection.client else "unknown"))
        raise
    connection.state.principal = principal
    _count(connection, limiter.request(principal))
    logs.note(tenant=principal.scope.tenant)
    return principal


def _header(connection: HTTPConnection) -> str | None:
    match connection.headers.get("authorization"), connection.scope.get("subprotocols"):
        case None, [first, key, *_] if first == SUBPROTOCOL:
            return f"Bearer {key}"
        case header, _:
            return header


def _count(connection: HTTPConnection, answered: bool) -> None:
    if not answered and (metrics := getattr(connection.app.state, "metrics", None)) is not None:
        metrics.unlimited.inc()


Caller = Annotated[Principal, Depends(caller)]
"""Who calls, whatever their role."""


def _at_least(role: Role) -> Callable[[Principal], Awaitable[Principal]]:
    async def check(principal: Caller) -> Principal:
        if _ROLES.index(principal.role) < _ROLES.index(role):
            raise ForbiddenError(
                f"the role {principal.role} does not allow this; it needs the role {role}", param="role"
            )
        return principal

    return check


Reader = Annotated[Principal, Depends(_at_least(Role.READER))]
Editor = Annotated[Principal, Depends(_at_least(Role.EDITOR))]
Administrator = Annotated[Principal, Depends(_at_least(Role.ADMINISTRATOR))]
