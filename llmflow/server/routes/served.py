"""What the LLM's endpoint serves beside `llmflow`, and how many tokens a prompt is for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from llmflow.errors import InvalidInputError, LLMFlowError, NotFoundError
from llmflow.korean import count_tokens
from llmflow.models.gateway import Gateway, ServedModel, TokenCount
from llmflow.models.serving import excerpt
from llmflow.server.auth import Reader
from llmflow.server.foreign_forms import ModelList
from llmflow.server.forms import TokenizeRequest, TokenizeResponse
from llmflow.server.nouns import noun_response
from llmflow.server.openapi import content, errors, example

router = APIRouter(tags=["chat"])

MODEL = "llmflow"
"""The model that answers from the documents; the endpoint's own of that name would be out of reach."""

_MODEL: dict[str, Any] = {
    "id": MODEL, "object": "model", "created": 1_767_225_600, "owned_by": "llmflow",
    "kind": "answers", "parent": None, "max_model_len": None,
}  # fmt: skip


def _shown(model: ServedModel) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by,
        "kind": "adapter" if model.parent else "student",
        "parent": model.parent,
        "max_model_len": model.max_model_len,
    }


def _listed(models: tuple[ServedModel, ...], *reasons: str) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [_MODEL, *(_shown(model) for model in models if model.id != MODEL)],
        "llmflow": {"degradations": [{"stage": "llm", "reason": reason} for reason in reasons]},
    }


_EXAMPLE = _listed((
    ServedModel("student", "vllm", 1_793_611_800, None, 32_768),
    ServedModel("hr", "vllm", 1_793_611_800, "student", 32_768),
))  # fmt: skip


@router.get(
    "/v1/models",
    operation_id="list_models",
    summary="Models",
    response_model=ModelList,
    responses={200: {"description": "Successful response", **content(_EXAMPLE)}, **errors()},
)
async def models(request: Request, caller: Reader) -> Response:
    """`llmflow`, and what the configured LLM endpoint serves at this moment, adapters with their `parent`.

    An endpoint that does not tell within 3 s is left out, and `llmflow.degradations` says so.
    """
    gateway: Gateway | None = request.app.state.runtime.gateway
    if gateway is None:
        return JSONResponse(_listed(()))
    try:
        return JSONResponse(_listed(await gateway.models()))
    except LLMFlowError as error:
        return JSONResponse(_listed((), error.message))


@router.post(
    "/v1/tokenize",
    operation_id="tokenize",
    summary="Count tokens",
    response_model=TokenizeResponse,
    responses={200: example(TokenizeResponse("student", 21, 32_768, True)), **errors(404)},
)
async def tokenize(request: Request, caller: Reader, body: TokenizeRequest) -> Response:
    """How many tokens a prompt is, the frame of a chat included where the model's own tokenizer counts.

    vLLM tells exactly; for `llmflow`, other endpoints and one that is away it is LLMFlow's estimate (`exact` is false).
    """
    if (body.messages is None) == (body.prompt is None):
        raise InvalidInputError("send either messages or prompt", param="messages")
    if body.tools is not None and body.messages is None:
        raise InvalidInputError("tools go with messages; send messages instead of prompt", param="tools")
    prompt = body.model_dump(exclude={"model"}, exclude_none=True)
    told = TokenCount(None, None) if body.model == MODEL else await _told(request, body.model, prompt)
    exact = told.count is not None
    count = told.count if told.count is not None else await asyncio.to_thread(_estimate, prompt)
    return noun_response(TokenizeResponse(body.model, count, told.max_model_len, exact))


async def _told(request: Request, model: str, prompt: dict[str, Any]) -> TokenCount:
    """What the endpoint says."""
    gateway: Gateway | None = request.app.state.runtime.gateway
    if gateway is None:
        raise no_endpoint(model)
    return await gateway.count_tokens(model, prompt)


def no_endpoint(model: str) -> NotFoundError:
    """The error of a model that only an endpoint could serve."""
    return NotFoundError(
        f"there is no model {excerpt(model)!r}; the only one is {MODEL!r}, as llm.base_url is not set", param="model"
    )


def _estimate(prompt: dict[str, Any]) -> int:
    return sum(map(count_tokens, _texts(prompt)))


def _texts(prompt: dict[str, Any]) -> Iterator[str]:
    """What a model reads of a prompt."""
    yield prompt.get("prompt", "")
    for message in prompt.get("messages", ()):
        match message.get("content"):
            case str(text):
                yield text
            case list(parts):
                texts = (part.get("text") for part in parts if isinstance(part, dict))
                yield from (text for text in texts if isinstance(text, str))
        if calls := message.get("tool_calls"):
            yield json.dumps(calls, ensure_ascii=False)
    if tools := prompt.get("tools"):
        yield json.dumps(tools, ensure_ascii=False)
