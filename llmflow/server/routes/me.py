"""Who is calling."""

from __future__ import annotations

from fastapi import APIRouter, Response

from llmflow.schema import Role
from llmflow.server.auth import Reader
from llmflow.server.forms import Me
from llmflow.server.nouns import noun_response
from llmflow.server.openapi import errors, example

router = APIRouter(tags=["operation"])


@router.get(
    "/v1/me",
    operation_id="me",
    summary="Who am I?",
    response_model=Me,
    responses={200: example(Me("key:0123456789abcdef", "회사", ("인사", "경영지원"), Role.READER)), **errors()},
)
async def me(caller: Reader) -> Response:
    """Tenant, departments and role of the credential."""
    return noun_response(Me(caller.subject, caller.scope.tenant, caller.scope.departments, caller.role))
