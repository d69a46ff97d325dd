"""Every error in one form; only Dify's route has a form of its own.

The form is OpenAI's with two fields more: ``{"error": {"code", "message", "type", "param", "details"},
"request_id"}``. What went wrong inside the server is logged and never shown.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from llmflow.errors import (
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    DeadlineError,
    DocumentError,
    ForbiddenError,
    InvalidInputError,
    LLMFlowError,
    NotFoundError,
    OverloadedError,
    RateLimitedError,
    StoreHeldError,
    TooLargeError,
    UpstreamError,
)

log = logging.getLogger(__name__)

_UPSTREAM_RETRY_S = 5


class MethodNotAllowedError(LLMFlowError):
    """The path exists, the method does not."""

    code = "method_not_allowed"


STATUSES: Mapping[type[LLMFlowError], int] = {
    ConfigurationError: 500,
    ConflictError: 409,
    InvalidInputError: 422,
    AuthenticationError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    MethodNotAllowedError: 405,
    TooLargeError: 413,
    DocumentError: 422,
    RateLimitedError: 429,
    OverloadedError: 503,
    UpstreamError: 503,
    StoreHeldError: 503,
    DeadlineError: 504,
}
"""HTTP status of each class of error; a class without one is the server's fault."""

Form = Callable[[LLMFlowError, int, Headers], tuple[int, dict[str, Any]]]
"""A form of errors: from an error, its status and the request's headers to status and body."""

_forms: dict[str, Form] = {}


def errors_as(path: str, form: Form) -> None:
    """Answer errors of a path in a form of its own."""
    _forms[path] = form


def status_of(error: LLMFlowError) -> int:
    """The HTTP status of an error."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)


def body_of(error: LLMFlowError, request_id: str) -> dict[str, Any]:
    """The one form."""
    return {"error": error.to_dict(), "request_id": request_id}


def error_response(scope: Scope, error: LLMFlowError, headers: Mapping[str, str] | None = None) -> Response:
    """The response to a request that failed, with further headers."""
    status = status_of(error)
    remember(scope, error)
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if path in _forms:
        shown, body = _forms[path](error, status, Headers(scope=scope))
    else:
        shown, body = status, body_of(error, request_id_of(scope))
    return JSONResponse(body, shown, {**(headers or {}), **_headers(error, shown)})


def remember(scope: Scope, error: LLMFlowError) -> None:
    """Keep the code of what a caller is told, for log and metrics."""
    scope.setdefault("state", {})["error"] = error.code


def request_id_of(scope: Scope) -> str:
    """The id the middleware gave the request."""
    return str(scope.get("state", {}).get("request_id", ""))


def as_error(exception: Exception) -> LLMFlowError:
    """What a caller is told of any exception; one that is none of ours is logged and not shown."""
    match exception:
        case LLMFlowError():
            if status_of(exception) == 500:
                log.error("%s: %s", exception.code, exception.message)
            return exception
        case RequestValidationError():
            return _invalid(exception)
        case HTTPException():
            return _of_http(exception)
        case ClientDisconnect():
            return InvalidInputError("the client went before its request was complete")
        case _:
            log.error("unexpected %s", type(exception).__name__, exc_info=exception)
            return LLMFlowError("something failed inside the server; its log has more under this request_id")


def install(app: FastAPI) -> None:
    """Answer every exception a route lets go in the one form."""

    async def handle(request: Request, exception: Exception) -> Response:
        return error_response(request.scope, as_error(exception), getattr(exception, "headers", None))

    for kind in (LLMFlowError, RequestValidationError, HTTPException, ClientDisconnect):
        app.add_exception_handler(kind, handle)


def _headers(error: LLMFlowError, status: int) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    seconds = error.details.get("retry_after_s", _UPSTREAM_RETRY_S)
    return {"Retry-After": str(max(1, math.ceil(seconds)))} if status in (429, 503) else {}


def _invalid(exception: RequestValidationError) -> LLMFlowError:
    """The first problem as the message, all of them as details; values stay out of the answer."""
    problems = [
        {"param": _param(problem["type"], problem["loc"]), "message": problem["msg"]} for problem in exception.errors()
    ]
    first = problems[0]
    return InvalidInputError(f"{first['param']}: {first['message']}", param=first["param"], problems=problems)


def _param(kind: str, place: Sequence[str | int]) -> str:
    """The name of what is wrong; for JSON that cannot be read the place is a position."""
    return str(place[0]) if kind == "json_invalid" or len(place) == 1 else ".".join(map(str, place[1:]))


def _of_http(exception: HTTPException) -> LLMFlowError:
    match exception.status_code:
        case 404:
            return NotFoundError("there is nothing at this path; /openapi.json lists the paths")
        case 405:
            return MethodNotAllowedError("this path does not take this method; /openapi.json lists what it takes")
        case 413:
            return TooLargeError(exception.detail)
        case _:
            return InvalidInputError(exception.detail)
