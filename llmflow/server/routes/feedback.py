"""Thumbs up and down."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from llmflow.errors import NotFoundError
from llmflow.runtime import Runtime
from llmflow.schema import Feedback, Principal
from llmflow.server.auth import Administrator, Reader
from llmflow.server.forms import FeedbackList, FeedbackRequest, FeedbackResponse
from llmflow.server.nouns import noun_response, sees_own
from llmflow.server.openapi import errors, example
from llmflow.stores.memory import LONGEST_QUESTION, Accepted, Origin
from llmflow.tracing import TraceNode

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
    response_model=FeedbackResponse,
    responses={201: example(FeedbackResponse.of(_EXAMPLE, 2), description="Kept"), **errors(404)},
)
def give(request: Request, caller: Reader, body: FeedbackRequest) -> Response:
    """Keep what the caller thinks of an answer, in place of what was thought of it before.

    The answer must be the caller's; an administrator may judge those of its departments. A thumb
    up remembers the answer's question with the passages it cites, or with `sources`; similar
    questions then find these sooner. A thumb down takes that back. Where the trace holds no
    question (tracing was off, or it is too old) or a very long one, nothing is remembered.
    """
    runtime = request.app.state.runtime
    accepted = _accepted(runtime, caller, body) if body.value == 1 and runtime.settings.memory.enabled else None
    runtime.tracer.score(caller.scope, body.trace_id, "feedback", body.value, own=sees_own(caller))
    comment = body.comment and runtime.masker.mask(body.comment).text
    kept = runtime.feedback.add(caller.scope, body.trace_id, body.value, comment)
    runtime.memories.forget_all(caller.scope, subject=caller.subject, trace_id=body.trace_id)
    remembered = 0
    if accepted:
        question, passages = accepted
        origin = Origin.CLICK if body.sources else Origin.FEEDBACK
        remembered = len(runtime.remember(caller.scope, question, passages, origin, body.trace_id))
    return noun_response(FeedbackResponse.of(kept, remembered), 201)


def _accepted(runtime: Runtime, caller: Principal, body: FeedbackRequest) -> tuple[str, list[Accepted]] | None:
    """The trace's question and the passages that were right for it, where the caller can see them.

    Raises:
        NotFoundError: one of ``body.sources`` is no passage the caller can see.
    """
    asked = _asked(runtime, caller, body.trace_id)
    ids = body.sources or (asked.metadata.get("cited", []) if asked else [])
    chunks = runtime.vectors.get(caller.scope, ids)
    if body.sources and (missing := [id for id in body.sources if id not in chunks]):
        raise NotFoundError(f"no passage with the id {missing[0]!r}", param="sources")
    passages = [Accepted(chunks[id].document_id, id) for id in ids if id in chunks]
    question = asked.input if asked else None
    return (question, passages) if question and len(question) <= LONGEST_QUESTION and passages else None


def _asked(runtime: Runtime, caller: Principal, trace_id: str) -> TraceNode | None:
    """The step of the trace that took the question, as it was put to retrieval."""
    runtime.tracer.flush(local=True)
    try:
        trace = runtime.traces.get(caller.scope, trace_id, own=sees_own(caller))
    except NotFoundError:  # nothing is recorded
        return None
    steps = list(trace.roots)
    while steps:
        step = steps.pop(0)
        if step.name in ("ask", "search"):
            return step
        steps += step.children
    return None


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
