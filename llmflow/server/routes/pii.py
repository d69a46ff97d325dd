"""Masking of personal data."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from llmflow.schema import PiiEntity
from llmflow.server.auth import Reader
from llmflow.server.forms import MaskRequest, MaskResponse
from llmflow.server.nouns import noun_response
from llmflow.server.openapi import errors, example
from llmflow.server.workers import in_worker

router = APIRouter(tags=["privacy"])

_EXAMPLE = MaskResponse("담당자 [PERSON], [PHONE_NUMBER]", (
    PiiEntity("PERSON", 4, 7, 0.85), PiiEntity("PHONE_NUMBER", 9, 22, 0.95),
))  # fmt: skip


@router.post(
    "/v1/pii/mask",
    operation_id="mask_pii",
    summary="Mask personal data",
    response_model=MaskResponse,
    responses={200: example(_EXAMPLE), **errors()},
)
async def mask(request: Request, caller: Reader, body: MaskRequest) -> Response:
    """The text with personal data replaced by `[TYPE]`, and where it was; the text is not kept."""
    masked = await in_worker(request, caller.scope, request.app.state.runtime.masker.mask, body.text)
    return noun_response(MaskResponse(masked.text, masked.entities))
