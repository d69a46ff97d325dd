"""Vectors through the plugin, by the embedder of a real server."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from chat_server import Reply
from environments import StartPlugin
from llmflow_server import LLMFlowServer
from model_calls import ModelCalls, bare_server
from model_endpoint import ScriptedEndpoint, as_json
from tei_server import tei

from dify_plugins.tooling.daemon import MAX_LINE, PluginError, Transport

TEXTS = ["연차휴가는 5일까지 이월합니다.", "출장비는 7일 안에 정산합니다.", "비밀번호는 12자 이상입니다."]


@pytest.fixture(scope="module")
def embedding_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LLMFlowServer]:
    """A server without documents whose embedder counts letters."""
    with tei(limit=8) as embedder:
        folder = tmp_path_factory.mktemp("embedding")
        settings = {"EMBEDDER__PROVIDER": "tei", "EMBEDDER__BASE_URL": embedder.base_url}
        with bare_server(folder, **settings) as running:
            yield running


@pytest.fixture
def calls(start_plugin: StartPlugin, embedding_server: LLMFlowServer, python: str) -> ModelCalls:
    """The plugin in each environment."""
    return ModelCalls(start_plugin("llmflow_models", python), embedding_server.credentials("reader"))


@pytest.fixture
def wide() -> Iterator[ScriptedEndpoint]:
    """In the place of a server whose embedder has 1,024 numbers; equal texts get equal vectors."""

    class Wide(ScriptedEndpoint):
        def answer(self, path: str, body: dict[str, Any]) -> Reply:
            self.requests.append(body)
            vectors = [self.vector(text) for text in body["input"]]
            data = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)]
            return as_json({"data": data, "usage": {"prompt_tokens": len(data), "total_tokens": len(data)}})

        @staticmethod
        def vector(text: str) -> list[float]:
            source = random.Random(hashlib.sha256(text.encode()).digest())
            return [source.uniform(-1, 1) for _ in range(1024)]

    with Wide().running() as endpoint:
        yield endpoint


def test_vectors_are_those_of_the_server_in_order(
    start_plugin: StartPlugin, embedding_server: LLMFlowServer, python: str, transport: Transport
) -> None:
    calls = ModelCalls(start_plugin("llmflow_models", python, transport), embedding_server.credentials("reader"))
    headers = {"Authorization": f"Bearer {embedding_server.key('reader')}"}
    body = {"model": "llmflow", "input": TEXTS}
    straight = httpx.post(f"{embedding_server.url}/v1/embeddings", headers=headers, json=body, timeout=60).json()
    result = calls.embed(TEXTS)
    assert result["embeddings"] == [each["embedding"] for each in straight["data"]]
    assert result["usage"]["total_tokens"] == straight["usage"]["total_tokens"]
    assert calls.embed(TEXTS[1:2], kind="query")["embeddings"] == result["embeddings"][1:2]


def test_more_texts_than_a_batch_keep_their_order(calls: ModelCalls) -> None:
    texts = [f"{number}번 규정은 {TEXTS[number % 3]}" for number in range(70)]
    result = calls.embed(texts)
    assert len(result["embeddings"]) == len(texts)
    assert result["embeddings"][40] == pytest.approx(calls.embed(texts[40:41])["embeddings"][0], abs=1e-6)


def test_a_line_of_over_five_megabytes_is_never_written(
    start_plugin: StartPlugin, wide: ScriptedEndpoint, python: str
) -> None:
    credentials = {"base_url": wide.url, "api_key": "llmflow_key", "language": "ko", "timeout_s": "30"}
    calls = ModelCalls(start_plugin("llmflow_models", python), credentials)
    with pytest.raises(PluginError) as caught:
        calls.embed([f"{number}번 글" for number in range(1000)])
    assert caught.value.kind == "InvokeBadRequestError"
    assert "1,000개" in caught.value.message
    assert len(wide.requests) == 1
    most = int(caught.value.message.split("한 번에 ")[-1].split("개")[0])
    texts = [f"{number}번 글" for number in range(most - 2)]
    vectors = calls.embed(texts)["embeddings"]
    assert vectors[-1] == wide.vector(texts[-1])  # type: ignore[attr-defined]
    assert len(vectors) == len(texts)
    assert 4_000_000 < calls.plugin.longest_line < MAX_LINE


def test_dify_is_told_to_send_batches_that_fit(
    start_plugin: StartPlugin, embedding_server: LLMFlowServer, python: str
) -> None:
    plugin = start_plugin("llmflow_models", python, "tcp")
    (provider,) = plugin.declarations["model_declaration"]
    (declared,) = [model for model in provider["models"] if model["model_type"] == "text-embedding"]
    schema = ModelCalls(plugin, embedding_server.credentials("reader")).schema("llmflow", "text-embedding")
    assert declared["model_properties"]["max_chunks"] == schema["model_properties"]["max_chunks"] == 32


def test_nothing_and_empty_texts(calls: ModelCalls) -> None:
    result = calls.embed([])
    assert (result["embeddings"], result["usage"]["total_tokens"]) == ([], 0)
    for blank in (" \n", "\u200b", "\ufeff", "\u00ad", "\u2060 \u202e"):
        with pytest.raises(PluginError) as caught:
            calls.embed(["연차", blank])
        assert caught.value.kind == "InvokeBadRequestError"
        assert "2번째 글이 비어 있습니다" in caught.value.message


def test_the_only_model_is_llmflow(calls: ModelCalls) -> None:
    calls.validate("llmflow", "text-embedding")
    with pytest.raises(PluginError) as caught:
        calls.validate("bge-m3", "text-embedding")
    assert caught.value.kind == "CredentialsValidateFailedError"
    assert "'bge-m3'" in caught.value.message
    assert "지금 쓸 수 있는 모델: llmflow" in caught.value.message


def test_tokens_are_counted_as_the_server_counts(calls: ModelCalls, embedding_server: LLMFlowServer) -> None:
    texts = [*TEXTS, "GPU 4090 × 2대, Straße 漢字 1,024원!", "", "가" * 7]
    (counted,) = calls.plugin.invoke(
        "model",
        "get_text_embedding_num_tokens",
        provider="llmflow_models",
        model_type="text-embedding",
        model="llmflow",
        credentials=calls.credentials,
        texts=texts,
    )
    with httpx.Client(
        base_url=embedding_server.url, headers={"Authorization": f"Bearer {embedding_server.key('reader')}"}
    ) as http:
        answers = [http.post("/v1/tokenize", json={"model": "llmflow", "prompt": text}).json() for text in texts]
    assert counted["num_tokens"] == [answer["count"] for answer in answers]
