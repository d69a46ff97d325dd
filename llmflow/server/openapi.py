"""What the OpenAPI document says beside the routes themselves."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from llmflow.server.forms import ErrorResponse

DESCRIPTION = """Grounded answers from an organisation's own documents, Korean first.

Send `Authorization: Bearer KEY` with a key made by `llmflow keys create`, or a JWT of the configured issuer. Tenant and
departments come from the credential only. Every response carries `X-Request-ID`; one you send (1 to 128 letters,
digits, `.`, `_`, `-`) is kept. Errors have one form, `{"error": {...}, "request_id": ...}`, except for `/retrieval`,
whose form is Dify's."""

TAGS: list[dict[str, Any]] = [
    {"name": "questions", "description": "Passages and answers."},
    {"name": "chat", "description": "Conversations, in OpenAI's form and with sessions."},
    {"name": "documents", "description": "Documents in and out, and the jobs that ingest them."},
    {"name": "dify", "description": "Dify's External Knowledge API."},
    {"name": "models", "description": "Reranking and embedding of texts that are not in the documents."},
    {"name": "privacy", "description": "Masking of personal data."},
    {"name": "feedback", "description": "What users think of answers, and how the answers came about."},
    {"name": "operation", "description": "Health, readiness and metrics."},
]

_MEANINGS = {
    401: ("unauthenticated", "AuthenticationError", "There is no credential, or it is not valid (any more)."),
    403: ("forbidden", "ForbiddenError", "The credential's role or departments do not allow this."),
    404: ("not_found", "NotFoundError", "It does not exist, or not for this credential."),
    409: ("conflict", "ConflictError", "Something else is under way that must end first."),
    413: ("too_large", "TooLargeError", "The request is larger than allowed."),
    422: ("invalid_input", "InvalidInputError", "An argument is outside what is allowed; `param` names it."),
    429: ("rate_limited", "RateLimitedError", "Too many requests of this key; `Retry-After` says when to come back."),
    500: ("internal_error", "LLMFlowError", "Something failed inside the server; its log has more."),
    503: ("overloaded", "OverloadedError", "Overloaded, or a store does not answer; see `Retry-After`."),
    504: ("timeout", "DeadlineError", "The time allowed for a request is over."),
}


def errors(*further: int) -> dict[int | str, dict[str, Any]]:
    """The documented errors of a route: those any route has, and ``further`` ones."""
    return {status: _error(status) for status in sorted({401, 403, 413, 422, 429, 500, 503, 504, *further})}


def _error(status: int) -> dict[str, Any]:
    code, kind, meaning = _MEANINGS[status]
    error: dict[str, Any] = {"code": code, "message": meaning, "type": kind, "param": None, "details": {}}
    shown = {"error": error, "request_id": "7a1f0c7de2a34c0d8f7a5f0f4b1f9e11"}
    return {"model": ErrorResponse, "description": meaning, **content(shown)}


def example(noun: Any, description: str = "Successful response") -> dict[str, Any]:
    """A documented response with a noun as its example."""
    return {"description": description, **content(TypeAdapter(type(noun)).dump_python(noun, mode="json"))}


def content(shown: Any, media_type: str = "application/json") -> dict[str, Any]:
    """An example of a body."""
    return {"content": {media_type: {"example": shown}}}
