"""Vectors by the embedder of the stored documents."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from dify_plugin import TextEmbeddingModel
from dify_plugin.entities import I18nObject
from dify_plugin.entities.model import AIModelEntity, EmbeddingInputType, FetchFrom, ModelPropertyKey, ModelType
from dify_plugin.entities.model.text_embedding import EmbeddingUsage, TextEmbeddingResult
from dify_plugin.errors.model import InvokeBadRequestError
from llmflow_client.credentials import Credentials
from llmflow_client.server import MOST_BYTES, Server
from models.failures import PlainFailures, validation
from models.tokens import estimated_tokens

MODEL = "llmflow"
_CONTEXT = 8192
_BATCH = 32
"""Texts of a request to the server, and of a call by Dify: 32 vectors of 4,096 numbers are 3 MB of JSON."""
_BLANK = re.compile("[\\s\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]*")
"""White space and the invisible characters that the server takes away."""


class LLMFlowTextEmbeddingModel(PlainFailures, TextEmbeddingModel):
    """The server has one embedder. It embeds every text as a document: ``embedder.query_prefix`` is put before none."""

    def _invoke(
        self,
        model: str,
        credentials: dict[str, Any],
        texts: list[str],
        user: str | None = None,
        input_type: EmbeddingInputType = EmbeddingInputType.DOCUMENT,
    ) -> TextEmbeddingResult:
        embeddings, tokens = _embedded(Credentials.of(credentials), model, texts)
        return TextEmbeddingResult(model=model, embeddings=embeddings, usage=_usage(tokens, self.started_at))

    def get_num_tokens(self, model: str, credentials: dict[str, Any], texts: list[str]) -> list[int]:
        """LLMFlow's own count of each text; the server is not asked, as Dify counts chunk by chunk."""
        return [estimated_tokens(text) for text in texts]

    def validate_credentials(self, model: str, credentials: Mapping[str, Any]) -> None:
        """Embed a word.

        Raises:
            CredentialsValidateFailedError: as for the provider; or there is no such model, or no embedder.
        """
        with validation():
            _embedded(Credentials.of(credentials), model, ["휴가"])

    def get_customizable_model_schema(self, model: str, credentials: Mapping[str, Any]) -> AIModelEntity:
        """The only model under whatever name; :meth:`validate_credentials` refuses others than its own."""
        return AIModelEntity(
            model=model,
            label=I18nObject.model_validate({"en_US": model}),
            model_type=ModelType.TEXT_EMBEDDING,
            fetch_from=FetchFrom.CUSTOMIZABLE_MODEL,
            model_properties={ModelPropertyKey.CONTEXT_SIZE: _CONTEXT, ModelPropertyKey.MAX_CHUNKS: _BATCH},
        )


def _embedded(credentials: Credentials, model: str, texts: list[str]) -> tuple[list[list[float]], int]:
    """A vector for each text, in order, and the tokens that took.

    Dify reads one result of one line for each call, which the width of a vector bounds: a call whose vectors
    would not fit is refused as soon as the first of them show it.
    """
    if model != MODEL:
        raise InvokeBadRequestError(credentials.say("unknown_model", model=model, served=MODEL))
    for number, text in enumerate(texts, 1):
        if _BLANK.fullmatch(text):
            raise InvokeBadRequestError(credentials.say("empty_text", number=number))
    server = Server(credentials)
    vectors: list[list[float]] = []
    tokens = 0
    for start in range(0, len(texts), _BATCH):
        answer = server.post("/v1/embeddings", {"model": MODEL, "input": texts[start : start + _BATCH]}, "data")
        vectors += [each["embedding"] for each in answer["data"]]
        tokens += answer["usage"]["total_tokens"]
        if start == 0:
            most = MOST_BYTES * len(vectors) // len(json.dumps(vectors))
            if len(texts) > most:
                raise InvokeBadRequestError(credentials.say("too_many_texts", count=len(texts), most=most))
    return vectors, tokens


def _usage(tokens: int, started_at: float) -> EmbeddingUsage:
    free = Decimal(0)
    return EmbeddingUsage(
        tokens=tokens,
        total_tokens=tokens,
        unit_price=free,
        price_unit=free,
        total_price=free,
        currency="USD",
        latency=time.perf_counter() - started_at,
    )
