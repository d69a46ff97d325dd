"""Thumbs up and down."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from llmflow.schema import Feedback
from llmflow.server.auth import Administrator, Reader
from llmflow.server.forms import FeedbackList, FeedbackRequest
from llmflow.server.nouns import noun_response, sees_own
from llmflow.server.openapi import errors, example

router = APIRouter(tags=["feedback"])

_EXAMPLE = Feedback(
    id="1f3a5c7e9b2d4f6081a3c5e7092b4d6f",
    tenant="회사",
    departments=("인사",),
    subject="key:0123456789abcdef",
    trace_id="0af7651916cd43dd8448eb211c80319c",
    value=1,
    comment="정확한 답이에요.",
    created_at=datetime(2026, 11, 2, 9, 30, tzinfo=UTC),
)


@router.post(
    "/v1/feedback",
    operation_id="give_feedback",
    summary="Thumb up or down",
    status_code=201,
    response_model=Feedback,
    responses={201: example(_EXAMPLE, description="Kept"), **errors(404)},
)
def give(request: Request, caller: Reader, body: FeedbackRequest) -> Response:
    """Keep what the caller thinks of an answer, in place of what was thought of it before.

    The answer must be the caller's; an administrator may judge those of its departments.
    """
    runtime = request.app.state.runtime
    runtime.tracer.score(caller.scope, body.trace_id, "feedback", body.value, own=sees_own(caller))
    comment = body.comment and runtime.masker.mask(body.comment).text
    kept = runtime.feedback.add(caller.scope, body.trace_id, body.value, comment)
    return noun_response(kept, 201)


@router.get(
    "/v1/feedback",
    operation_id="list_feedback",
    summary="What users think",
    response_model=FeedbackList,
    responses={200: example(FeedbackList((_EXAMPLE,), 1)), **errors()},
)
def listed(
    request: Request,
    caller: Administrator,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> Response:
    """The tenant's feedback of users who could read no more than the caller, newest first."""
    page = request.app.state.runtime.feedback.list(caller.scope, limit, offset)
    return noun_response(FeedbackList(page.items, page.total))
