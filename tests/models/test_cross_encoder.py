"""The wire forms of cross-encoders against servers that speak them."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from json_server import Answer, json_server

from llmflow.errors import ConfigurationError, UpstreamError
from llmflow.models.cross_encoder import CrossEncoder, open_cross_encoder
from llmflow.settings import CrossEncoderSettings

QUESTION = "휴가 신청"
PASSAGES = ["휴가는 3일 전에 신청한다", "회식", "휴가", "신청 마감", "출장", "신청"]


def fit(question: str, passage: str) -> float:
    """Share of the question's letters that the passage has."""
    return len(set(question) & set(passage)) / len(set(question))


def tei(path: str, body: Any) -> Answer:
    assert path == "/rerank"
    assert body["raw_scores"] is False
    assert body["truncate"] is True
    if len(body["texts"]) > 32:
        return Answer({"error": "batch size", "error_type": "Validation"}, status=413)
    scored = [{"index": at, "score": fit(body["query"], text)} for at, text in enumerate(body["texts"])]
    return Answer(sorted(scored, key=lambda each: -each["score"]))


def jina(path: str, body: Any) -> Answer:
    assert path == "/v1/rerank"
    scored = [
        {"index": at, "relevance_score": fit(body["query"], text), "document": {"text": text}}
        for at, text in enumerate(body["documents"])
    ]
    best = sorted(scored, key=lambda each: -each["relevance_score"])[: body["top_n"]]
    return Answer({"model": body["model"], "results": best, "usage": {"total_tokens": 1}})


FORMS = {"tei": (tei, ""), "http": (jina, "/v1")}


def encoder(provider: str, url: str, **settings: Any) -> CrossEncoder:
    values = {"provider": provider, "base_url": url, "backoff_s": 0, "retries": 1, "timeout_s": 20, **settings}
    opened = open_cross_encoder(CrossEncoderSettings.model_validate(values))
    assert opened is not None
    return opened


def soon() -> float:
    return time.monotonic() + 20


@pytest.mark.parametrize("provider", FORMS)
@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_scores_are_those_of_the_passages_in_their_order(provider: str, batch_size: int) -> None:
    decide, path = FORMS[provider]
    with json_server(decide=decide) as server:
        model = encoder(provider, server.base_url + path, batch_size=batch_size, api_key="secret")
        scores = model.scores(QUESTION, PASSAGES, soon())
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, [fit(QUESTION, passage) for passage in PASSAGES], rtol=1e-6)
        assert len(server.calls) == -(-len(PASSAGES) // batch_size)
        assert {headers["authorization"] for headers in server.headers} == {"Bearer secret"}
        assert model.scores(QUESTION, [], soon()).shape == (0,)


def test_the_model_is_named_where_the_form_has_it() -> None:
    with json_server(decide=jina) as server:
        model = encoder("http", server.base_url + "/v1", model="jina/reranker-v3")
        model.scores(QUESTION, PASSAGES, soon())
        assert server.calls[0][1]["model"] == "jina/reranker-v3"
        assert model.version == "http_jina_reranker_v3"


@pytest.mark.parametrize(
    ("provider", "answer", "words"),
    [
        ("tei", {"error": "?"}, "for each of 2 passages"),
        ("tei", [{"index": 0, "score": 0.5}], "for each of 2 passages"),
        ("tei", [{"index": 0, "score": 0.5}] * 2, "for each of 2 passages"),
        ("tei", [{"index": 0, "score": 0.5}, {"index": 2, "score": 0.5}], "for each of 2 passages"),
        ("tei", [{"index": 0, "score": 0.5}, {"index": 1, "score": 0.5}, {"index": 1, "score": 1}], "each of 2"),
        ("tei", [{"index": 0, "score": 0.5}, {"index": 1, "score": None}], "for each of 2 passages"),
        ("tei", [{"index": 0, "score": 0.5}, {"index": 1, "score": 7.5}], "apply the sigmoid"),
        ("tei", [{"index": 0, "score": 0.5}, {"index": 1, "score": float("nan")}], "apply the sigmoid"),
        ("http", [], "for each of 2 passages"),
        ("http", {"results": None}, "for each of 2 passages"),
        ("http", {"results": [{"index": 0, "score": 0.5}, {"index": 1, "score": 0.5}]}, "a relevance_score for each"),
    ],
)
def test_an_answer_in_another_form_is_an_error(provider: str, answer: Any, words: str) -> None:
    with json_server(answer) as server, pytest.raises(UpstreamError) as caught:
        encoder(provider, server.base_url).scores(QUESTION, PASSAGES[:2], soon())
    assert words in caught.value.message
    assert caught.value.param == "cross_encoder.provider"


def test_a_slow_server_is_given_up_at_the_deadline() -> None:
    with json_server(Answer(trouble="hang")) as server, pytest.raises(UpstreamError, match="in time"):
        encoder("tei", server.base_url).scores(QUESTION, PASSAGES, time.monotonic() + 0.2)


def test_what_is_missing_is_named() -> None:
    assert open_cross_encoder(CrossEncoderSettings()) is None
    for provider in ("tei", "http"):
        with pytest.raises(ConfigurationError, match=r"cross_encoder\.base_url is not set"):
            open_cross_encoder(CrossEncoderSettings(provider=provider))  # type: ignore[arg-type]


def test_the_extra_is_named_where_it_is_missing() -> None:
    if find_spec("FlagEmbedding"):
        pytest.skip("FlagEmbedding is installed here")
    with pytest.raises(ConfigurationError, match=r"pip install 'llmflow\[bge\]'") as caught:
        open_cross_encoder(CrossEncoderSettings(provider="flagembedding"))
    assert caught.value.param == "cross_encoder.provider"
