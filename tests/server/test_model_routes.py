"""Reranking and embedding of the caller's own texts, and explained passages."""

from __future__ import annotations

import base64
import json
import sys
import threading
import unicodedata
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from served import DOCUMENTS, SAMPLES, TENANT, serving

sys.path.append(str(Path(__file__).parents[1] / "models"))
from tei_server import letters
from tei_server import tei as embedding_server

from llmflow.runtime import Runtime
from llmflow.schema import Role, Scope
from llmflow.server.app import create_app
from llmflow.settings import Settings

TEXTS = [
    "출장비는 돌아온 날부터 7일 안에 정산한다.",
    "쓰지 않은 연차휴가는 5일까지 다음 해로 이월한다.",
    "회의실은 그룹웨어에서 예약한다.",
    "The weather was fine.",
]
QUESTION = "연차휴가는 며칠까지 이월되나요?"


class TeiServer(BaseHTTPRequestHandler):
    """Text Embeddings Inference's `/rerank`: a text scores by the share of the question's letters it has."""

    failing = False

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if type(self).failing:
            self.send_error(500)
            return
        letters = set(body["query"])
        scores = [len(letters & set(text)) / len(letters) for text in body["texts"]]
        ranked = sorted(range(len(scores)), key=lambda at: -scores[at])
        answer = json.dumps([{"index": at, "score": scores[at]} for at in ranked]).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def tei() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), TeiServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def modelled(tmp_path_factory: pytest.TempPathFactory, tei: str) -> Iterator[httpx.Client]:
    """A client of a server with an embedder of its own training and a cross-encoder."""
    settings = Settings.model_validate({
        "data_dir": tmp_path_factory.mktemp("models") / "data",
        "parsing": {"ocr": "off"},
        "embedder": {"training": {"min_chunks": 2, "steps": 5, "dimensions": 16, "batch_size": 8}},
        "cross_encoder": {"provider": "tei", "base_url": tei, "retries": 0},
    })  # fmt: skip
    with Runtime(settings) as runtime:
        scope = Scope(TENANT, ("인사",))
        assert len(list(runtime.ingest(scope, "인사", [SAMPLES / name for name in DOCUMENTS["인사"]]))) == 2
        assert runtime.train_embedder()
        key = runtime.keys.create(TENANT, ("인사",), Role.READER)[0]
        with serving(create_app(runtime)) as url:
            yield httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30)


def ranked(client: httpx.Client, **body: Any) -> dict[str, Any]:
    response = client.post("/v1/rerank", json={"query": QUESTION, "documents": TEXTS, **body})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_texts_are_ranked_without_any_model(client: httpx.Client) -> None:
    found = ranked(client)
    scores = [each["relevance_score"] for each in found["results"]]
    assert found["results"][0]["index"] == 1
    assert sorted(each["index"] for each in found["results"]) == [0, 1, 2, 3]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] == 0
    assert all(0 <= score <= 1 for score in scores)
    assert found["model"] == "llmflow"
    assert found["llmflow"] == {"degradations": []}


def test_the_forms_of_jina_and_cohere(client: httpx.Client) -> None:
    nulls = ranked(client, model=None, top_n=None, return_documents=None, max_tokens_per_doc=4096, user=None)
    assert [each["document"] for each in nulls["results"]] == [None] * 4
    objects = ranked(client, documents=[{"text": text, "id": 7} for text in TEXTS], top_n=2, return_documents=True)
    assert [each["document"]["text"] for each in objects["results"]] == [
        TEXTS[each["index"]] for each in nulls["results"][:2]
    ]
    assert ranked(client, top_n=50)["results"] == nulls["results"]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"documents": []}, 422, "documents"),
        ({"documents": ["x"] * 1001}, 422, "documents"),
        ({"query": ""}, 422, "query"),
        ({"query": " \u200b"}, 422, "query"),
        ({"top_n": 0}, 422, "top_n"),
        ({"model": "rerank-multilingual-v3.0"}, 404, "model"),
        ({"model": "llm"}, 422, "rerank"),
    ],
)
def test_a_bad_request_for_ranking(client: httpx.Client, body: dict[str, Any], status: int, param: str) -> None:
    response = client.post("/v1/rerank", json={"query": QUESTION, "documents": TEXTS, **body})
    assert (response.status_code, response.json()["error"]["param"]) == (status, param)


def test_a_cross_encoder_ranks_where_there_is_one(modelled: httpx.Client) -> None:
    letters = set(QUESTION)
    expected = [len(letters & set(text)) / len(letters) for text in TEXTS]
    for model in ("llmflow", "cross_encoder"):
        found = ranked(modelled, model=model)["results"]
        assert [each["relevance_score"] for each in found] == pytest.approx(sorted(expected, reverse=True))
        assert found[0]["index"] == int(np.argmax(expected))
    assert [each["relevance_score"] for each in ranked(modelled, model="none")["results"]] != pytest.approx(
        sorted(expected, reverse=True)
    )


def test_a_model_that_fails_is_named(modelled: httpx.Client) -> None:
    plain = ranked(modelled, model="none")
    TeiServer.failing = True
    try:
        found = ranked(modelled)
    finally:
        TeiServer.failing = False
    assert found["results"] == plain["results"]
    (degradation,) = found["llmflow"]["degradations"]
    assert degradation["stage"] == "cross_encoder"


def test_embeddings_are_those_of_the_stored_documents(modelled: httpx.Client) -> None:
    body = {"model": "llmflow", "input": TEXTS, "user": "x"}
    found = modelled.post("/v1/embeddings", json=body).json()
    vectors = np.array([each["embedding"] for each in found["data"]], np.float32)
    assert [each["index"] for each in found["data"]] == [0, 1, 2, 3]
    assert vectors.shape == (4, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors[:3], axis=1), 1, rtol=1e-5)
    packed = modelled.post("/v1/embeddings", json=body | {"encoding_format": "base64", "dimensions": 16}).json()
    decoded = [np.frombuffer(base64.b64decode(each["embedding"]), "<f4") for each in packed["data"]]
    np.testing.assert_array_equal(decoded, vectors)
    single = modelled.post("/v1/embeddings", json={"model": "llmflow", "input": TEXTS[1]}).json()
    np.testing.assert_array_equal(np.array(single["data"][0]["embedding"], np.float32), vectors[1])
    apart = unicodedata.normalize("NFD", TEXTS[1])
    assert apart != TEXTS[1]
    single = modelled.post("/v1/embeddings", json={"model": "llmflow", "input": apart}).json()
    np.testing.assert_array_equal(np.array(single["data"][0]["embedding"], np.float32), vectors[1])


def test_embeddings_name_the_embedder_that_made_them(tmp_path: Path) -> None:
    def swap(path: str, body: Any) -> None:
        if path == "/embed" and body["inputs"] == ["abc"]:
            runtime.indexer.swap(None)

    with embedding_server(swap) as server:
        embedder = {"provider": "tei", "base_url": server.base_url}
        with Runtime(Settings.model_validate({"data_dir": tmp_path, "embedder": embedder})) as runtime:
            key = runtime.keys.create(TENANT, ("인사",), Role.READER)[0]
            with serving(create_app(runtime)) as url:
                body = {"model": "llmflow", "input": "abc"}
                found = httpx.post(f"{url}/v1/embeddings", json=body, headers={"Authorization": f"Bearer {key}"})
            assert runtime.indexer.embedder is None
    assert found.status_code == 200, found.text
    assert found.json()["model"] == "tei_org_Letters_v1_5_16"
    expected = np.array(letters("abc"))
    vector = found.json()["data"][0]["embedding"]
    np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), rtol=1e-5)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"input": []}, 422, "input"),
        ({"input": ["x", " "]}, 422, "input"),
        ({"input": ["x", "\u200b"]}, 422, "input"),
        ({"input": "x", "dimensions": 17}, 422, "dimensions"),
        ({"input": "x", "model": "text-embedding-3-small"}, 404, "model"),
    ],
)
def test_a_bad_request_for_embeddings(modelled: httpx.Client, body: dict[str, Any], status: int, param: str) -> None:
    response = modelled.post("/v1/embeddings", json={"model": "llmflow", **body})
    assert (response.status_code, response.json()["error"]["param"]) == (status, param)


def test_an_empty_text_is_named_by_its_place(modelled: httpx.Client) -> None:
    for given, place in ((["x", "\u200b", " "], "input[1] "), ("\ufeff", "input ")):
        response = modelled.post("/v1/embeddings", json={"model": "llmflow", "input": given})
        assert response.status_code == 422
        assert response.json()["error"]["message"].startswith(place)


def test_without_an_embedder_there_are_no_embeddings(client: httpx.Client) -> None:
    response = client.post("/v1/embeddings", json={"model": "llmflow", "input": "연차"})
    assert response.status_code == 409
    assert "embedder.training.min_chunks" in response.json()["error"]["message"]


def test_passages_tell_their_stages(modelled: httpx.Client) -> None:
    body = {"query": "재택근무 신청", "threshold": 0, "top_k": 3}
    found = modelled.post("/v1/retrieve", json=body).json()["candidates"]
    stages = {stage["stage"] for candidate in found for stage in candidate["stages"]}
    assert {"chunk_grams", "dense", "fused", "cross_encoder"} <= stages
    assert [candidate["score"] for candidate in found] == [candidate["stages"][-1]["score"] for candidate in found]
    without = modelled.post("/v1/retrieve", json=body | {"rerank": "none"}).json()["candidates"]
    assert all(stage["stage"] != "cross_encoder" for candidate in without for stage in candidate["stages"])
    refused = modelled.post("/v1/retrieve", json=body | {"rerank": "llm"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "rerank")
