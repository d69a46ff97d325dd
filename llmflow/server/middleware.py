"""What every request passes: an id, a line in the log, security headers and the limits.

Plain ASGI, so that responses stream through untouched and context variables reach the routes.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llmflow.errors import DeadlineError, OverloadedError, RateLimitedError, TooLargeError
from llmflow.logs import bind
from llmflow.server.errors import as_error, error_response
from llmflow.server.metrics import Metrics

access = logging.getLogger("llmflow.access")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_UPLOADS = "/v1/documents"
WATCHED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that must answer when nothing else does."""

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def path_of(scope: Scope) -> str:
    """The path of a request, without the prefix a proxy put before it."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


class Identified:
    """The outermost: request id, trace context, access log, security headers; unexpected exceptions end here.

    The id is the caller's ``X-Request-ID`` where it is 1 to 128 letters, digits, ``.``, ``_`` or ``-``.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        state: MutableMapping[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["traceparent"] = headers.get("traceparent")
        status: int | None = None
        start = time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                added = MutableHeaders(raw=message.setdefault("headers", []))
                added["X-Request-ID"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    added[name] = value
            await send(message)

        with bind(request_id=request_id), self._metrics.in_flight():
            try:
                await self._app(scope, receive, answer)
            except Exception as exception:
                if status is not None or scope["type"] == "websocket":
                    as_error(exception)
                    raise
                await error_response(scope, as_error(exception))(scope, receive, answer)
            finally:
                self._ended(scope, status, time.perf_counter() - start)

    def _ended(self, scope: Scope, status: int | None, seconds: float) -> None:
        """Count the request and write its line: the route's template, never the query or the body."""
        method, route = scope.get("method", "WEBSOCKET"), getattr(scope.get("route"), "path", None)
        principal, error = scope["state"].get("principal"), scope["state"].get("error")
        self._metrics.request(method, route, status or (101 if method == "WEBSOCKET" else 499), seconds)
        if error is not None:
            self._metrics.error(error)
        if error == RateLimitedError.code:
            self._metrics.rate_limited()
        if path_of(scope) in WATCHED:
            return
        fields = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1), "error": error}
        access.info("request", extra={**fields, "tenant": principal and principal.scope.tenant})


class Concurrency:
    """At most ``limit`` requests in progress; further ones are told to come back."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or path_of(scope) in WATCHED:
            await self._app(scope, receive, send)
            return
        if self._running >= self._limit:
            error = OverloadedError(f"{self._limit} requests are in progress already; try again soon", retry_after_s=1)
            await error_response(scope, error)(scope, receive, send)
            return
        self._running += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= 1


class Deadline:
    """The answer must begin within ``seconds`` of the last piece of the request."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        begun = False

        async def receiving() -> Message:
            message = await receive()
            if not begun and message["type"] == "http.request":
                timeout.reschedule(loop.time() + self._seconds)
            return message

        async def answering(message: Message) -> None:
            nonlocal begun
            if not begun:
                begun = True
                timeout.reschedule(None)
            await send(message)

        try:
            async with asyncio.timeout(self._seconds) as timeout:
                await self._app(scope, receiving, answering)
        except TimeoutError:
            if not timeout.expired():
                raise
            error = DeadlineError(f"no answer within {self._seconds:g} s; ask for less, or try again later")
            await error_response(scope, error)(scope, receive, send)


class BodyLimit:
    """Requests larger than allowed are refused: at once where they say so, else when they have become so.

    Args:
        body: bytes of any request but uploads.
        upload: bytes of a multipart request to ``/v1/documents``.
    """

    def __init__(self, app: ASGIApp, body: int, upload: int) -> None:
        self._app = app
        self._body = body
        self._upload = upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        multipart = headers.get("content-type", "").lower().startswith("multipart/")
        limit = self._upload if multipart and path_of(scope) == _UPLOADS else self._body
        message = f"the request is larger than the {limit:,} bytes allowed; send less at once"
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            await error_response(scope, TooLargeError(message, param="body"))(scope, receive, send)
            return
        received = 0

        async def counting() -> Message:
            nonlocal received
            part = await receive()
            received += len(part.get("body", b""))
            if received > limit:
                raise HTTPException(413, message)  # the one kind of exception that passes FastAPI's reading of bodies
            return part

        await self._app(scope, counting, send)
