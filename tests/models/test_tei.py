"""The TEI form against servers that speak it."""

from __future__ import annotations

import math
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from json_server import Answer
from tei_server import letters, tei

from llmflow.errors import ConfigurationError, UpstreamError
from llmflow.models.embedder import Embedder, EmbedderInput, open_embedder
from llmflow.settings import EmbedderSettings

TEXTS = ["aab", "휴가 hhg", "c", "dd e", "bad cab", "face"]


def embedder(url: str, **settings: Any) -> Embedder:
    values = {"provider": "tei", "base_url": url, "backoff_s": 0, "retries": 1, "timeout_s": 20, **settings}
    opened = open_embedder(EmbedderSettings.model_validate(values))
    assert opened is not None
    return opened


def inputs(*texts: str) -> list[EmbedderInput]:
    return [EmbedderInput(text, {}) for text in texts]


def test_vectors_come_in_order_and_at_length_one() -> None:
    with tei() as server:
        given = embedder(server.base_url).documents(inputs(*TEXTS))
        expected = np.array([letters(text) for text in TEXTS])
        np.testing.assert_allclose(given.dense, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-6)
        assert given.dense.dtype == np.float32
        assert given.sparse is None
        sizes = [len(body["inputs"]) for path, body in server.calls if path == "/embed"]
        assert sizes == [1, 2, 2, 2], "what the server allows at once, after one text for the width"


def test_batches_are_as_large_as_the_settings_allow() -> None:
    with tei(limit=32) as server:
        embedder(server.base_url, batch_size=4).documents(inputs(*TEXTS))
        assert [len(body["inputs"]) for path, body in server.calls if path == "/embed"] == [1, 4, 2]


def test_term_weights_where_the_server_has_them() -> None:
    with tei(splade=True) as server:
        model = embedder(server.base_url)
        assert model.learns_terms
        given = model.documents(inputs(*TEXTS))
        assert given.sparse is not None
        assert given.sparse[0] == {10: 1.0, 11: 0.5}
        assert [math.fsum(vector.values()) for vector in given.sparse] == [0.5 * sum(letters(text)) for text in TEXTS]
        assert model.version == "tei_org_Letters_v1_5_16_sparse"
    with tei() as server:
        model = embedder(server.base_url)
        assert not model.learns_terms
        assert (model.version, model.dimensions) == ("tei_org_Letters_v1_5_16", 16)


def test_a_question_has_its_prefix_and_the_key_is_sent() -> None:
    with tei() as server:
        asked = embedder(server.base_url, query_prefix="hh ", api_key="secret").query(EmbedderInput("a", {}))
        np.testing.assert_allclose(asked.dense[0][[0, 7]], np.array([1, 2]) / math.sqrt(5), rtol=1e-6)
        assert {headers["authorization"] for headers in server.headers} == {"Bearer secret"}


def test_nothing_is_called_before_it_is_needed() -> None:
    with tei() as server:
        assert embedder(server.base_url).documents([]).dense.shape == (0, 16)
        before = len(server.calls)
        embedder(server.base_url)
        assert len(server.calls) == before


def test_one_bad_moment_is_nothing() -> None:
    count = iter(range(100))
    with tei(lambda *_: Answer(status=503) if next(count) % 2 == 0 else None) as server:
        assert embedder(server.base_url, breaker_failures=1000).documents(inputs(*TEXTS)).dense.shape == (6, 16)


@pytest.mark.parametrize(
    ("path", "answer", "words"),
    [
        ("/info", [], "instead of an object with model_id"),
        ("/info", {"version": "1.8"}, "instead of an object with model_id"),
        ("/embed", [[1.0], [1.0, 2.0]], "vectors of numbers"),
        ("/embed", [], "vectors of numbers"),
        ("/embed", {"data": []}, "vectors of numbers"),
        ("/embed", [["x"]], "vectors of numbers"),
        ("/embed", [[None]], "vectors of numbers"),
        ("/embed_sparse", [[{"index": 1}]], "lists of index and value"),
        ("/embed_sparse", [], "lists of index and value"),
    ],
)
def test_an_answer_in_another_form_is_an_error(path: str, answer: Any, words: str) -> None:
    with (
        tei(lambda asked, _: Answer(answer) if asked == path else None) as server,
        pytest.raises(UpstreamError) as caught,
    ):
        embedder(server.base_url).documents(inputs("a"))
    assert words in caught.value.message
    assert caught.value.param == "embedder.base_url"


def test_a_server_that_fails_is_not_taken_for_one_without_term_weights() -> None:
    with tei(lambda path, _: Answer(status=500) if path == "/embed_sparse" else None) as server:
        model = embedder(server.base_url)
        with pytest.raises(UpstreamError) as caught:
            assert model.version
        assert caught.value.details["status"] == 500


def test_another_model_after_a_failure_has_another_version() -> None:
    serving, away = ["org/first"], [False]

    def change(path: str, _: Any) -> Answer | None:
        if away[0]:
            return Answer(status=503)
        return Answer({"model_id": serving[0]}) if path == "/info" else None

    with tei(change, limit=32) as server:
        model = embedder(server.base_url)
        assert model.version == "tei_org_first_16"
        away[0] = True
        with pytest.raises(UpstreamError):
            model.documents(inputs("a"))
        away[0], serving[0] = False, "org/second"
        assert model.version == "tei_org_second_16"


def test_a_question_does_not_wait_for_what_another_asks_of_the_server() -> None:
    asked = threading.Event()

    def silent(*_: object) -> Answer:
        asked.set()
        return Answer(trouble="hang")

    with tei(silent) as server:
        model = embedder(server.base_url, retries=0, breaker_failures=1000)

        def ask() -> None:
            with suppress(UpstreamError):
                model.documents(inputs("a"))

        other = threading.Thread(target=ask)
        other.start()
        assert asked.wait(10)
        with pytest.raises(UpstreamError, match="no complete answer in time"):
            model.query(EmbedderInput("a", {}), time.monotonic() + 0.1)
        assert other.is_alive(), "the other one waits for the server on its own"
    other.join()


def test_what_is_known_is_kept_while_the_server_is_away() -> None:
    away = [False]
    with tei(lambda *_: Answer(status=503) if away[0] else None, limit=32) as server:
        model = embedder(server.base_url, breaker_failures=1000)
        model.documents(inputs("a"))
        away[0] = True
        with pytest.raises(UpstreamError):
            model.query(EmbedderInput("a", {}))
        assert model.version == "tei_org_Letters_v1_5_16"
        away[0] = False
        before = len(server.calls)
        assert model.query(EmbedderInput("a", {})).version == model.version
        assert [path for path, _ in server.calls[before:]] == ["/info", "/embed"], "asked once whether it is the same"


def test_another_width_is_another_version() -> None:
    wide = [False]

    def change(path: str, body: Any) -> Answer | None:
        return Answer([[1.0] * 32 for _ in body["inputs"]]) if path == "/embed" and wide[0] else None

    with tei(change, limit=32) as server:
        model = embedder(server.base_url)
        assert model.version == "tei_org_Letters_v1_5_16"
        wide[0] = True
        with pytest.raises(UpstreamError, match="vectors of 16 numbers, as before"):
            model.documents(inputs("a"))
        assert model.documents(inputs("a")).version == "tei_org_Letters_v1_5_32"


def test_an_address_is_needed() -> None:
    with pytest.raises(ConfigurationError, match=r"embedder\.base_url is not set"):
        open_embedder(EmbedderSettings(provider="tei"))
    assert open_embedder(EmbedderSettings(provider="none")) is None
    assert open_embedder(EmbedderSettings(provider="static")) is None


def test_the_extra_is_named_where_it_is_missing() -> None:

    if find_spec("FlagEmbedding"):
        pytest.skip("FlagEmbedding is installed here")
    with pytest.raises(ConfigurationError, match=r"pip install 'llmflow\[bge\]'") as caught:
        open_embedder(EmbedderSettings(provider="bge-m3"))
    assert caught.value.param == "embedder.provider"
