"""What the documents say of an entity."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from llmflow.server import examples
from llmflow.server.auth import Reader
from llmflow.server.forms import (
    ChunkAbout,
    ChunkMentioning,
    GraphRelation,
    GraphSearchRequest,
    GraphSearchResponse,
)
from llmflow.server.nouns import narrowed, noun_response
from llmflow.server.openapi import errors, example
from llmflow.server.workers import in_worker
from llmflow.stores.graph import Neighbourhood

router = APIRouter(tags=["questions"])


@router.post(
    "/v1/graph/search",
    operation_id="search_graph",
    summary="Search the graph",
    response_model=GraphSearchResponse,
    responses={200: example(examples.NEIGHBOURHOOD), **errors(404, 409)},
)
async def search(request: Request, caller: Reader, body: GraphSearchRequest) -> Response:
    """Passages about an entity and naming it, and the relations around it, strongest first.

    An entity nobody names gives 404, and the message names some that come near.
    """
    scope = narrowed(caller.scope, body.departments)
    runtime = request.app.state.runtime
    found = await in_worker(request, scope, runtime.neighbourhood, scope, body.entity, body.hops, body.limit)
    return noun_response(_shown(found))


def _shown(found: Neighbourhood) -> GraphSearchResponse:
    return GraphSearchResponse(
        found.name,
        found.types,
        tuple(ChunkAbout(row["chunk"], row["document"], row["document_name"], row["role"]) for row in found.about),
        tuple(
            ChunkMentioning(row["chunk"], row["document"], row["document_name"], row["confidence"])
            for row in found.mentioned
        ),
        tuple(
            GraphRelation(row["hop"], row["subject"], row["relation_type"], row["object"], row["weight"], row["chunk"])
            for row in found.relations
        ),
    )
