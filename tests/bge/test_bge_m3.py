"""The embedder against a plain reading of its model with transformers."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import WIDTH, make_bge_m3
from transformers import AutoModel, AutoTokenizer

from llmflow.errors import ConfigurationError, DeadlineError
from llmflow.models.bge_m3 import BgeM3Embedder
from llmflow.models.embedder import Embedded, EmbedderInput
from llmflow.settings import EmbedderSettings

TEXTS = (
    "연차 휴가 신청 절차", "보안", "hello world", "출장비 정산은 영수증을 첨부하여 7일 이내에 한다. " * 40,
    "휴가 휴가 휴가", "Ω unknown ☃ letters", "VPN OTP 비밀번호 정책 안내", "",
)  # fmt: skip


def embedder(folder: Path, **settings: object) -> BgeM3Embedder:
    return BgeM3Embedder(EmbedderSettings.model_validate({"provider": "bge-m3", "model": str(folder), **settings}))


def inputs(texts: Sequence[str]) -> list[EmbedderInput]:
    return [EmbedderInput(text, {}) for text in texts]


def reference(folder: Path, texts: Sequence[str]) -> tuple[np.ndarray, list[dict[int, float]]]:
    """First token's state at length 1; relu of a linear layer for each token, the largest of each term."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    linear = torch.nn.Linear(WIDTH, 1)
    linear.load_state_dict(torch.load(folder / "sparse_linear.pt"))
    dense, sparse = [], []
    for text in texts:
        tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=128)
        with torch.no_grad():
            states = model(**tokens).last_hidden_state[0]
            weights = torch.relu(linear(states))[:, 0].tolist()
        dense.append((states[0] / states[0].norm()).numpy())
        terms: dict[int, float] = {}
        for token, weight in zip(tokens["input_ids"][0].tolist(), weights, strict=True):
            if weight > 0 and token not in tokenizer.all_special_ids:
                terms[token] = max(weight, terms.get(token, 0.0))
        sparse.append(terms)
    return np.array(dense), sparse


def assert_equal(given: Embedded, dense: np.ndarray, sparse: Sequence[dict[int, float]]) -> None:
    assert given.sparse is not None
    assert given.dense.dtype == np.float32
    np.testing.assert_allclose(given.dense, dense, atol=1e-3)
    for terms, expected in zip(given.sparse, sparse, strict=True):
        assert terms == pytest.approx(expected, abs=1e-3)


def test_vectors_are_those_of_the_reference(bge_m3: Path) -> None:
    dense, sparse = reference(bge_m3, TEXTS)
    assert sum(map(len, sparse)) > 20, "the reference must have terms to compare"
    assert abs(dense[0] @ dense[1]) < 0.99, "the reference must tell texts apart"
    assert_equal(embedder(bge_m3).documents(inputs(TEXTS)), dense, sparse)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_batches_change_nothing(bge_m3: Path, batch_size: int) -> None:
    given = embedder(bge_m3, batch_size=batch_size).documents(inputs(TEXTS))
    assert_equal(given, *reference(bge_m3, TEXTS))


def test_a_question_is_one_text_with_its_prefix(bge_m3: Path) -> None:
    asked = embedder(bge_m3, query_prefix="hello ").query(EmbedderInput("world", {}))
    assert_equal(asked, *reference(bge_m3, ["hello world"]))


def test_long_texts_are_cut_where_the_settings_say(bge_m3: Path) -> None:
    given = embedder(bge_m3, max_tokens=16).documents(inputs([TEXTS[3], TEXTS[3] + " hello"]))
    np.testing.assert_allclose(given.dense[0], given.dense[1], atol=1e-6)
    longer = embedder(bge_m3).documents(inputs([TEXTS[3]]))
    assert np.abs(given.dense[0] - longer.dense[0]).max() > 0.01


def test_threads_do_not_disturb_each_other(bge_m3: Path) -> None:
    shared = embedder(bge_m3)
    dense, sparse = reference(bge_m3, TEXTS)
    found: dict[int, Embedded] = {}

    def ask(at: int) -> None:
        found[at] = shared.query(EmbedderInput(TEXTS[at], {}))

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(len(TEXTS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for at in range(len(TEXTS)):
        assert_equal(found[at], dense[at : at + 1], sparse[at : at + 1])


def test_a_question_is_not_kept_waiting_by_a_document(bge_m3: Path) -> None:
    shared = embedder(bge_m3, batch_size=1)
    count, begun, late = 200, threading.Event(), threading.Event()
    passes: list[threading.Thread] = []

    def look(*_: object) -> None:
        passes.append(threading.current_thread())
        if not begun.is_set():
            begun.set()
            assert late.wait(60)

    shared._runner.model.register_forward_pre_hook(look)
    document = threading.Thread(target=shared.documents, args=(inputs(["휴가"] * count),))
    document.start()
    assert begun.wait(60)
    try:
        with pytest.raises(DeadlineError, match=r"embedder was busy .* retrieval\.leg_timeout_s"):
            shared.query(EmbedderInput("휴가", {}), time.monotonic() + 0.1)
    finally:
        late.set()
    shared.query(EmbedderInput("휴가", {}), time.monotonic() + 60)
    document.join()
    assert len(passes) == count + 1
    assert passes[-1] is document, "the question came in between"


def test_the_version_follows_the_weights_not_the_place(bge_m3: Path, tmp_path: Path) -> None:
    first = embedder(bge_m3)
    assert re.fullmatch(r"bge_m3_tiny_bge_m3_[0-9a-f]{8}_64", first.version)
    assert first.dimensions == WIDTH
    assert embedder(Path(shutil.copytree(bge_m3, tmp_path / bge_m3.name))).version == first.version
    other = make_bge_m3(tmp_path / "other" / bge_m3.name, seed=1)
    assert embedder(other).version != first.version


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    missing = tmp_path / "no-such-model"
    with pytest.raises(ConfigurationError, match=r"no-such-model cannot be loaded: .*give a folder") as caught:
        embedder(missing)
    assert caught.value.param == "embedder.model"
