"""Dify's External Knowledge API.

Form: https://docs.dify.ai/en/guides/knowledge-base/external-knowledge-api. When a knowledge base
is registered, Dify posts no body: 200 says that the key is good, 403 that it is not.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import Headers

from llmflow.errors import AuthenticationError, ForbiddenError, LLMFlowError, NotFoundError
from llmflow.schema import Candidate, RetrievalResult, Scope
from llmflow.server.auth import Reader
from llmflow.server.errors import errors_as
from llmflow.server.filters import matching_ids
from llmflow.server.foreign_forms import KnowledgeError, KnowledgeRecord, KnowledgeRequest, KnowledgeResponse
from llmflow.server.nouns import narrowed
from llmflow.server.openapi import content
from llmflow.server.workers import in_worker

router = APIRouter(tags=["dify"], strict_content_type=False)

PATH = "/retrieval"
ALL = "all"
_BAD_HEADER, _NOT_AUTHORISED, _UNKNOWN_KNOWLEDGE = 1001, 1002, 2001
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": KnowledgeError, "description": meaning, **content({"error_code": code, "error_msg": meaning})}
    for status, code, meaning in (
        (403, _NOT_AUTHORISED, "Bad header (1001), or the key is not valid (1002)"),
        (404, _UNKNOWN_KNOWLEDGE, "The key may not read such a department, or there is none (2001)"),
        (413, 413, "The request is larger than allowed"),
        (422, 422, "A value is outside what is allowed"),
        (429, 429, "Too many requests of this key; see Retry-After"),
        (500, 500, "Something failed inside the server"),
        (503, 503, "Overloaded, or a store does not answer; see Retry-After"),
        (504, 504, "The time allowed for a request is over"),
    )
}
_RECORD = KnowledgeRecord(
    content="제4조(연차휴가) 쓰지 않은 연차휴가는 5일까지 이월한다.",
    score=0.62,
    title="휴가규정.pdf",
    metadata={
        "document_id": "5d41402abc4b2a76b9719d911017c592",
        "name": "휴가규정.pdf",
        "department": "인사",
        "section": "휴가규정 > 제2장 연차휴가",
        "page": 2,
    },
)


class UnknownKnowledgeError(NotFoundError):
    """The knowledge base is none the key may read."""

    code = "unknown_knowledge"


@router.post(
    PATH,
    operation_id="dify_retrieval",
    summary="Dify's External Knowledge API",
    response_model=KnowledgeResponse,
    responses={
        200: {"description": "Passages, best first", **content(KnowledgeResponse(records=[_RECORD]).model_dump())},
        **_ERRORS,
    },
)
async def retrieve(request: Request, caller: Reader, body: KnowledgeRequest | None = None) -> Response:
    """Passages for Dify. `knowledge_id` is a department the key may read, or `all` of them.

    Without a body only the key is looked at. `score_threshold` 0 lets all pass; without one the
    settings' default holds. Errors are `{"error_code", "error_msg"}`.
    """
    if body is None:
        return _records([])
    scope = _knowledge(caller.scope, body.knowledge_id)
    runtime, setting, condition = request.app.state.runtime, body.retrieval_setting, body.metadata_condition
    query = body.query

    def search() -> RetrievalResult:
        documents = matching_ids(runtime.database, scope, condition)
        result: RetrievalResult = runtime.search(
            scope, query, setting.top_k, setting.score_threshold, documents=documents
        )
        return result

    result = await in_worker(request, scope, search)
    request.app.state.metrics.observe(result.timings_ms, result.degradations)
    return _records([_record(candidate) for candidate in result.candidates])


def _knowledge(scope: Scope, knowledge_id: str) -> Scope:
    if knowledge_id == ALL and ALL not in scope.departments:
        return scope
    try:
        return narrowed(scope, [knowledge_id])
    except ForbiddenError:
        raise UnknownKnowledgeError(
            f"there is no knowledge {knowledge_id!r} for this key; name a department it may read, or {ALL!r}",
            param="knowledge_id",
        ) from None


def _record(candidate: Candidate) -> KnowledgeRecord:
    chunk = candidate.chunk
    metadata = {
        "document_id": chunk.document_id,
        "chunk_id": chunk.id,
        "name": chunk.document_name,
        "title": chunk.title,
        "department": chunk.department,
        "section": " > ".join(chunk.section_path),
        "page": chunk.page,
        "article": chunk.article,
    }
    return KnowledgeRecord(
        content=chunk.text,
        score=candidate.score,
        title=chunk.document_name,
        metadata={key: value for key, value in metadata.items() if value not in (None, "")},
    )


def _records(records: list[KnowledgeRecord]) -> Response:
    return Response(KnowledgeResponse(records=records).model_dump_json(), media_type="application/json")


def _error_form(error: LLMFlowError, status: int, headers: Headers) -> tuple[int, dict[str, Any]]:
    """Errors as Dify reads them; it takes only 403 for a bad key."""
    match error:
        case AuthenticationError() if error.details.get("reason") in ("missing", "malformed"):
            shown, code = 403, _BAD_HEADER
        case AuthenticationError() | ForbiddenError():
            shown, code = 403, _NOT_AUTHORISED
        case UnknownKnowledgeError():
            shown, code = status, _UNKNOWN_KNOWLEDGE
        case _:
            shown = code = status
    return shown, {"error_code": code, "error_msg": error.message}


errors_as(PATH, _error_form)
