"""Reranking through the plugin, by a real server."""

from __future__ import annotations

import pytest
from environments import StartPlugin
from llmflow_server import LLMFlowServer
from model_calls import ModelCalls

from dify_plugins.tooling.daemon import PluginError, Transport

QUERY = "쓰지 않은 연차휴가는 며칠까지 이월되나요?"
DOCS = ["출장비는 7일 안에 정산합니다.", "쓰지 않은 연차휴가는 5일까지 이월합니다.", "비밀번호는 12자 이상입니다."]


@pytest.fixture
def calls(start_plugin: StartPlugin, server: LLMFlowServer, python: str) -> ModelCalls:
    """The plugin in each environment."""
    return ModelCalls(start_plugin("llmflow_models", python), server.credentials("reader"))


def test_ranks_with_scores_between_zero_and_one(
    start_plugin: StartPlugin, server: LLMFlowServer, python: str, transport: Transport
) -> None:
    calls = ModelCalls(start_plugin("llmflow_models", python, transport), server.credentials("reader"))
    ranked = calls.rerank(QUERY, DOCS)
    assert ranked[0]["index"] == 1
    assert sorted(each["index"] for each in ranked) == [0, 1, 2]
    assert all(each["text"] == DOCS[each["index"]] for each in ranked)
    scores = [each["score"] for each in ranked]
    assert scores == sorted(scores, reverse=True)
    assert 0 <= scores[-1] < scores[0] <= 1


def test_limits(calls: ModelCalls) -> None:
    whole = calls.rerank(QUERY, DOCS)
    assert calls.rerank(QUERY, DOCS, top_n=1) == whole[:1]
    assert calls.rerank(QUERY, DOCS, top_n=10) == whole
    assert calls.rerank(QUERY, DOCS, score_threshold=0.0) == whole
    assert calls.rerank(QUERY, DOCS, score_threshold=whole[0]["score"]) == whole[:1]
    assert calls.rerank(QUERY, DOCS, top_n=2, score_threshold=1.0) == [each for each in whole if each["score"] == 1]


def test_nothing_and_empty_texts(calls: ModelCalls) -> None:
    assert calls.rerank(QUERY, []) == []
    ranked = calls.rerank(QUERY, ["", DOCS[1], ""])
    assert ranked[0]["index"] == 1
    assert sorted(each["index"] for each in ranked) == [0, 1, 2]
    assert {each["index"]: each["score"] for each in ranked}[0] == 0


@pytest.mark.parametrize("model", ["llmflow", "none"])
def test_stages_that_are_there(calls: ModelCalls, model: str) -> None:
    calls.validate(model, "rerank")
    assert calls.rerank(QUERY, DOCS, model=model)[0]["index"] == 1
    assert calls.schema(model, "rerank")["model_type"] == "rerank"


@pytest.mark.parametrize("model", ["llm", "cross_encoder"])
def test_a_stage_that_is_not_configured_is_refused_when_it_is_added(calls: ModelCalls, model: str) -> None:
    with pytest.raises(PluginError) as caught:
        calls.validate(model, "rerank")
    assert caught.value.kind == "CredentialsValidateFailedError"
    assert f"'{model}'" in caught.value.message


def test_a_stage_nobody_knows_is_told_with_those_there_are(calls: ModelCalls) -> None:
    with pytest.raises(PluginError) as caught:
        calls.validate("bge-reranker", "rerank")
    assert "llmflow, llm, cross_encoder, none" in caught.value.message


def test_a_result_that_dify_would_not_take_is_refused(calls: ModelCalls) -> None:
    docs = ["연차 " * 100_000] * 20
    with pytest.raises(PluginError) as caught:
        calls.rerank(QUERY, docs)
    assert caught.value.kind == "InvokeBadRequestError"
    assert calls.plugin.alive
