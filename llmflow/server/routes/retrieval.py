"""Passages for a question."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from llmflow.logs import note
from llmflow.schema import RetrievalResult
from llmflow.server import examples
from llmflow.server.auth import Reader
from llmflow.server.filters import matching_ids
from llmflow.server.forms import RetrieveRequest
from llmflow.server.nouns import narrowed, noun_response
from llmflow.server.openapi import errors, example
from llmflow.server.workers import in_worker

router = APIRouter(tags=["questions"])


@router.post(
    "/v1/retrieve",
    operation_id="retrieve",
    summary="Find passages",
    response_model=RetrievalResult,
    responses={200: example(examples.RETRIEVAL), **errors()},
)
async def retrieve(request: Request, caller: Reader, body: RetrieveRequest) -> Response:
    """The best passages for a question, best first, each with its rank and score in every stage.

    `top_k` never changes the order of the head, and a filter is applied before it. With `explain` the
    stages also say in words why a passage is here.
    """
    scope = narrowed(caller.scope, body.departments)
    runtime = request.app.state.runtime

    def search() -> RetrievalResult:
        documents = matching_ids(runtime.database, scope, body.filter)
        result: RetrievalResult = runtime.search(
            scope, body.query, body.top_k, body.threshold, documents, body.rerank, body.explain
        )
        return result

    result = await in_worker(request, scope, search)
    request.app.state.metrics.observe(result.timings_ms, result.degradations)
    note(trace_id=result.trace_id)
    return noun_response(result)
