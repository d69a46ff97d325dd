"""The models behind retrieval for other texts, in the forms of Jina and Cohere (rerank) and OpenAI (embeddings)."""

from __future__ import annotations

import base64
import uuid
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from llmflow.errors import InvalidInputError, NotFoundError
from llmflow.korean import count_tokens, normalize
from llmflow.models.embedder import Embedded
from llmflow.models.serving import excerpt
from llmflow.retrieval.texts import TextRanking
from llmflow.schema import RerankMode
from llmflow.server.auth import Reader
from llmflow.server.foreign_forms import (
    EmbeddingsRequest,
    EmbeddingsResponse,
    RerankDocument,
    RerankRequest,
    RerankResponse,
)
from llmflow.server.openapi import content, errors
from llmflow.server.routes.served import MODEL
from llmflow.server.workers import in_worker

router = APIRouter(tags=["models"])

_MOST_TEXTS = 2048
_MODES: dict[str, RerankMode | None] = {MODEL: None, "llm": "llm", "cross_encoder": "cross_encoder", "none": "none"}
_RANKED = {
    "id": "rerank-6f1c0d1b9d3a4c0f8e5a7b2c4d6e8f01",
    "model": MODEL,
    "results": [{"index": 1, "relevance_score": 0.71, "document": None}],
    "usage": {"total_tokens": 34},
    "llmflow": {"degradations": []},
}
_EMBEDDED = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.6, -0.8]}],
    "model": "static_0123456789abcdef",
    "usage": {"prompt_tokens": 2, "total_tokens": 2},
}


@router.post(
    "/v1/rerank",
    operation_id="rerank",
    summary="Rank texts",
    response_model=RerankResponse,
    responses={200: {"description": "Successful response", **content(_RANKED)}, **errors(404)},
)
async def rerank(request: Request, caller: Reader, body: RerankRequest) -> Response:
    """Rank the caller's own texts by relevance to a query; scores lie between 0 and 1.

    Without a model for it texts are ranked by their words and, where there is one, the embedder. A model
    that fails leaves the order before it, and `llmflow.degradations` says so.
    """
    model = body.model or MODEL
    if model not in _MODES:
        raise NotFoundError(f"there is no model {excerpt(model)!r}; allowed: {', '.join(_MODES)}", param="model")
    texts = [document.text if isinstance(document, RerankDocument) else document for document in body.documents]
    runtime = request.app.state.runtime
    scope = caller.scope
    ranking: TextRanking = await in_worker(request, scope, runtime.rank, scope, body.query, texts, _MODES[model])
    results = [
        {"index": at, "relevance_score": score, "document": {"text": texts[at]} if body.return_documents else None}
        for at, score in zip(ranking.order, ranking.scores, strict=True)
    ]
    return JSONResponse({
        "id": f"rerank-{uuid.uuid4().hex}",
        "model": model,
        "results": results[: body.top_n],
        "usage": {"total_tokens": sum(map(count_tokens, (body.query, *texts)))},
        "llmflow": {"degradations": [{"stage": each.stage, "reason": each.reason} for each in ranking.degradations]},
    })  # fmt: skip


@router.post(
    "/v1/embeddings",
    operation_id="create_embeddings",
    summary="Embed texts",
    response_model=EmbeddingsResponse,
    responses={200: {"description": "Successful response", **content(_EMBEDDED)}, **errors(404, 409)},
)
async def embed(request: Request, caller: Reader, body: EmbeddingsRequest) -> Response:
    """Vectors of the caller's own texts, by the embedder of the stored documents."""
    if body.model != MODEL:
        raise NotFoundError(f"there is no model {excerpt(body.model)!r}; the only one is {MODEL!r}", param="model")
    texts = [body.input] if isinstance(body.input, str) else body.input
    if not 1 <= len(texts) <= _MOST_TEXTS:
        raise InvalidInputError(
            f"input must be a text or 1 to {_MOST_TEXTS:,} texts; it has {len(texts):,}", param="input"
        )
    if (empty := next((at for at, text in enumerate(texts) if not normalize(text)), None)) is not None:
        where = "input" if isinstance(body.input, str) else f"input[{empty}]"
        raise InvalidInputError(f"{where} has no visible character; leave it out", param="input")
    runtime = request.app.state.runtime
    embedded: Embedded = await in_worker(request, caller.scope, runtime.embed, texts)
    width = embedded.dense.shape[1]
    if body.dimensions not in (None, width):
        raise InvalidInputError(f"dimensions is {body.dimensions}; the embedder has {width}", param="dimensions")
    tokens = sum(map(count_tokens, texts))
    return JSONResponse({
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _encoded(vector, body.encoding_format)}
            for index, vector in enumerate(embedded.dense)
        ],
        "model": embedded.version,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })  # fmt: skip


def _encoded(vector: np.ndarray[Any, np.dtype[np.float32]], form: str | None) -> list[float] | str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode() if form == "base64" else vector.tolist()
