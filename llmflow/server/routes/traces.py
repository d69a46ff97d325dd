"""How answers came about."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from llmflow.server import examples
from llmflow.server.auth import Reader
from llmflow.server.forms import TraceList
from llmflow.server.nouns import noun_response, sees_own
from llmflow.server.openapi import errors, example
from llmflow.tracing import Trace

router = APIRouter(tags=["feedback"])


@router.get(
    "/v1/traces",
    operation_id="list_traces",
    summary="Latest traces",
    response_model=TraceList,
    responses={200: example(TraceList((examples.SUMMARY,))), **errors()},
)
def recent(request: Request, caller: Reader, limit: Annotated[int, Query(ge=1, le=200)] = 20) -> Response:
    """The caller's latest traces, newest first; an administrator sees those of its departments."""
    runtime = request.app.state.runtime
    runtime.tracer.flush(local=True)
    return noun_response(TraceList(runtime.traces.recent(caller.scope, limit, own=sees_own(caller))))


@router.get(
    "/v1/traces/{trace_id}",
    operation_id="get_trace",
    summary="A trace",
    response_model=Trace,
    responses={200: example(examples.TRACE), **errors(404)},
)
def trace(
    request: Request,
    caller: Reader,
    trace_id: Annotated[str, Path(max_length=64, examples=[examples.TRACE_ID], description="An answer's `trace_id`.")],
) -> Response:
    """Every step of a question or an ingestion, as a tree."""
    runtime = request.app.state.runtime
    runtime.tracer.flush(local=True)
    return noun_response(runtime.traces.get(caller.scope, trace_id, own=sees_own(caller)))
