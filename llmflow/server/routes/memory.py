"""What is remembered of past questions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from llmflow.server.auth import Reader
from llmflow.server.forms import MemoryList
from llmflow.server.nouns import noun_response, sees_own
from llmflow.server.openapi import errors, example
from llmflow.stores.memory import Memory, Origin

router = APIRouter(tags=["feedback"])

_EXAMPLE = Memory(
    id="9a1f3c5e7b2d4f6081a3c5e7092b4d6f",
    tenant="회사",
    department="인사",
    document_id="0123456789abcdef0123456789abcdef",
    chunk_id="5d41402abc4b2a76b9719d911017c592",
    question="연차휴가는 며칠까지 이월되나요?",
    departments=("인사",),
    subject="key:0123456789abcdef",
    origin=Origin.FEEDBACK,
    trace_id="0af7651916cd43dd8448eb211c80319c",
    created_at=datetime(2026, 11, 2, 9, 30, tzinfo=UTC),
)


@router.get(
    "/v1/memory",
    operation_id="list_memory",
    summary="What is remembered",
    response_model=MemoryList,
    responses={200: example(MemoryList((_EXAMPLE,), 1)), **errors()},
)
def listed(
    request: Request,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> Response:
    """Passages accepted for past questions, newest first: the caller's own.

    An administrator sees those of all users who could read no more than the administrator can.
    """
    page = request.app.state.runtime.memories.list(caller.scope, limit, offset, own=sees_own(caller))
    return noun_response(MemoryList(page.items, page.total))


@router.delete(
    "/v1/memory/{memory_id}",
    operation_id="forget_memory",
    summary="Forget one",
    response_model=Memory,
    responses={200: example(_EXAMPLE, description="Forgotten"), **errors(404)},
)
def forget(
    request: Request,
    caller: Reader,
    memory_id: Annotated[str, Path(examples=["9a1f3c5e7b2d4f6081a3c5e7092b4d6f"])],
) -> Response:
    """Forget a passage accepted for a question: one of the caller's own, or any an administrator sees."""
    return noun_response(request.app.state.runtime.memories.forget(caller.scope, memory_id, own=sees_own(caller)))
