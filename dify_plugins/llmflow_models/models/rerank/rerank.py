"""Reranking by the server's stages."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from dify_plugin import RerankModel
from dify_plugin.config.logger_format import plugin_logger_handler
from dify_plugin.entities import I18nObject
from dify_plugin.entities.model import AIModelEntity, FetchFrom, ModelPropertyKey, ModelType
from dify_plugin.entities.model.rerank import RerankDocument, RerankResult
from dify_plugin.errors.model import InvokeBadRequestError, InvokeServerUnavailableError
from llmflow_client.credentials import Credentials
from llmflow_client.server import MOST_BYTES, Server
from models.failures import PlainFailures, validation

log = logging.getLogger(__name__)
log.addHandler(plugin_logger_handler)

_STAGES = ("llmflow", "llm", "cross_encoder", "none")
"""All that are configured, or one of them alone."""
_CONTEXT = 8192
_SHOWN = 500
"""Characters of the reason why a stage failed."""


class LLMFlowRerankModel(PlainFailures, RerankModel):
    """Scores between 0 and 1 for Dify's own passages."""

    def _invoke(
        self,
        model: str,
        credentials: dict[str, Any],
        query: str,
        docs: list[str],
        score_threshold: float | None = None,
        top_n: int | None = None,
        user: str | None = None,
    ) -> RerankResult:
        checked = Credentials.of(credentials)
        ranked, reasons = _ranked(checked, model, query, docs, top_n)
        for reason in reasons:
            log.warning("%s: ranked without a stage that failed: %s", model, reason)
        found = [each for each in ranked if score_threshold is None or each.score >= score_threshold]
        if sum(len(json.dumps(each.text, ensure_ascii=False).encode()) for each in found) > MOST_BYTES:
            raise InvokeBadRequestError(checked.say("too_large"))
        return RerankResult(model=model, docs=found)

    def validate_credentials(self, model: str, credentials: Mapping[str, Any]) -> None:
        """Rank two texts.

        Raises:
            CredentialsValidateFailedError: as for the provider; or there is no such stage, or it is not configured.
        """
        with validation():
            checked = Credentials.of(credentials)
            _, reasons = _ranked(checked, model, "휴가", ["휴가", "출장"], None)
            if reasons:
                raise InvokeServerUnavailableError(checked.say("no_stage", model=model, reason="; ".join(reasons)))

    def get_customizable_model_schema(self, model: str, credentials: Mapping[str, Any]) -> AIModelEntity:
        """One of the stages by its name."""
        return AIModelEntity(
            model=model,
            label=I18nObject.model_validate({"en_US": f"LLMFlow {model}"}),
            model_type=ModelType.RERANK,
            fetch_from=FetchFrom.CUSTOMIZABLE_MODEL,
            model_properties={ModelPropertyKey.CONTEXT_SIZE: _CONTEXT},
        )


def _ranked(
    credentials: Credentials, model: str, query: str, docs: list[str], top_n: int | None
) -> tuple[list[RerankDocument], list[str]]:
    """The texts, best first, and why stages that should have ranked them did not."""
    if model not in _STAGES:
        raise InvokeBadRequestError(credentials.say("unknown_model", model=model, served=", ".join(_STAGES)))
    if not docs:
        return [], []
    limit = {} if top_n is None else {"top_n": top_n}
    body = {"model": model, "query": query, "documents": docs, **limit}
    answer = Server(credentials).post("/v1/rerank", body, "results")
    ranked = [
        RerankDocument(index=each["index"], text=docs[each["index"]], score=each["relevance_score"])
        for each in answer["results"]
    ]
    degradations = answer["llmflow"]["degradations"]
    return ranked, [f"{each['stage']}: {each['reason']}"[:_SHOWN] for each in degradations]
