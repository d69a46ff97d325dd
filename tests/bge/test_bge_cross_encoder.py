"""The cross-encoder against plain transformers and FlagEmbedding's own scores."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from FlagEmbedding import FlagReranker
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from llmflow.errors import ConfigurationError, DeadlineError
from llmflow.models.cross_encoder import open_cross_encoder
from llmflow.models.flag_cross_encoder import FlagCrossEncoder
from llmflow.settings import CrossEncoderSettings

QUESTION = "연차 휴가 신청"
PASSAGES = ["휴가 신청 절차 안내", "hello world", "출장비 정산은 영수증을 첨부하여 한다. " * 30, ".", "VPN OTP", "연차"]


def encoder(folder: Path, **settings: object) -> FlagCrossEncoder:
    values = {"provider": "flagembedding", "model": str(folder), **settings}
    opened = open_cross_encoder(CrossEncoderSettings.model_validate(values))
    assert isinstance(opened, FlagCrossEncoder)
    return opened


def soon() -> float:
    return time.monotonic() + 60


def test_scores_are_those_of_the_reference(reranker: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(reranker)
    model = AutoModelForSequenceClassification.from_pretrained(reranker).eval()
    expected = []
    for passage in PASSAGES:
        tokens = tokenizer([QUESTION], [passage], return_tensors="pt", truncation="only_second", max_length=128)
        with torch.no_grad():
            expected.append(torch.sigmoid(model(**tokens).logits).item())
    assert max(expected) - min(expected) > 0.01, "the reference must tell passages apart"
    for batch_size in (1, 4, 32):
        scores = encoder(reranker, batch_size=batch_size).scores(QUESTION, PASSAGES, soon())
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, expected, atol=1e-3)
    own = FlagReranker(str(reranker), devices="cpu", max_length=128, normalize=True)
    np.testing.assert_allclose(own.compute_score([(QUESTION, text) for text in PASSAGES]), expected, atol=1e-3)


def test_a_long_question_is_cut(reranker: Path) -> None:
    scores = encoder(reranker).scores(QUESTION * 100, PASSAGES[2:3], soon())
    assert 0 <= scores[0] <= 1


def test_no_passages_have_no_scores(reranker: Path) -> None:
    assert encoder(reranker).scores(QUESTION, [], soon()).shape == (0,)


def test_the_deadline_holds_between_batches(reranker: Path) -> None:
    with pytest.raises(DeadlineError, match="0 of 6 passages"):
        encoder(reranker).scores(QUESTION, PASSAGES, time.monotonic())


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no-such-model cannot be loaded") as caught:
        encoder(tmp_path / "no-such-model")
    assert caught.value.param == "cross_encoder.model"
