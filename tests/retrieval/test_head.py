"""The stages that read passages, with small models in this process: real scores, no servers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from small_corpus import HR, Corpus

from llmflow.errors import InvalidInputError, UpstreamError
from llmflow.retrieval.head import HeadStages
from llmflow.retrieval.reranking.base import Reranking
from llmflow.schema import RetrievalResult
from llmflow.settings import Settings

QUESTION = "연차휴가 신청과 출장비 정산, 회의실 예약"


class LikesLength:
    """A cross-encoder that likes long passages: what it prefers differs from what the fusion does."""

    version = "length"

    def scores(
        self, query: str, passages: Sequence[str], deadline: float
    ) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        return np.array([len(passage) / 1000 for passage in passages], np.float32)


class Away:
    version = "away"

    def scores(
        self, query: str, passages: Sequence[str], deadline: float
    ) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        raise UpstreamError("cross-encoder http://x: answered HTTP 500")


class Backwards:
    """A reranker that knows only an order: the reverse of what it is given."""

    name, version = "permutation", "student@1"

    def rerank(self, tenant: str, query: str, passages: Sequence[str], deadline: float) -> Reranking:
        assert deadline > time.monotonic()
        order = tuple(reversed(range(len(passages))))
        return Reranking(order, None, 0.5, 1, 1, 100, 20)


class Favourite:
    """A reranker with scores: sure of the passage that names the room, doubtful of the rest."""

    name, version = "listwise", "student@2"

    def rerank(self, tenant: str, query: str, passages: Sequence[str], deadline: float) -> Reranking:
        scores = [0.9 if "회의실" in passage else 0.05 for passage in passages]
        order = tuple(sorted(range(len(passages)), key=lambda at: -scores[at]))
        return Reranking(order, tuple(scores), 0.8, 0, 1, 100, 1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    opened = Corpus(tmp_path_factory.mktemp("head"))
    yield opened
    opened.close()


def search(corpus: Corpus, head: HeadStages, **options: object) -> RetrievalResult:
    arguments = {"top_k": 8, "threshold": 0.0} | options
    return corpus.retriever(head=head).retrieve(HR, QUESTION, **arguments)  # type: ignore[arg-type]


def ids(result: RetrievalResult) -> list[str]:
    return [item.chunk.id for item in result.candidates]


def test_a_cross_encoder_orders_its_depth_and_the_rest_stays_behind(corpus: Corpus) -> None:
    plain = search(corpus, HeadStages(None, None, Settings()))
    settings = Settings.model_validate({"cross_encoder": {"depth": 3}})
    result = search(corpus, HeadStages(LikesLength(), None, settings))
    assert sorted(ids(result)[:3]) == sorted(ids(plain)[:3])
    assert ids(result)[3:] == ids(plain)[3:]
    scores = [item.score for item in result.candidates]
    assert scores == sorted(scores, reverse=True)
    ranks = [stage.rank for item in result.candidates for stage in item.stages if stage.stage == "cross_encoder"]
    assert ranks == [1, 2, 3]
    longest = max(len(item.chunk.title) + 1 + len(item.chunk.text) for item in result.candidates[:3])
    assert result.candidates[0].score == pytest.approx(longest / 1000)


def test_more_asked_for_never_changes_the_first(corpus: Corpus) -> None:
    settings = Settings.model_validate({"cross_encoder": {"depth": 3}, "retrieval": {"diversity": 0.3}})
    head = HeadStages(LikesLength(), Favourite(), settings)
    longest = ids(search(corpus, head, top_k=13))
    for top_k in range(1, 13):
        assert ids(search(corpus, head, top_k=top_k)) == longest[:top_k]


def test_an_order_without_scores_hands_the_scores_on(corpus: Corpus) -> None:
    plain = search(corpus, HeadStages(None, None, Settings()))
    settings = Settings.model_validate({"reranker": {"depth": 4}})
    result = search(corpus, HeadStages(None, Backwards(), settings))
    assert ids(result)[:4] == ids(plain)[3::-1]
    assert [item.score for item in result.candidates] == [item.score for item in plain.candidates]


def test_the_gate_is_held_against_the_last_score(corpus: Corpus) -> None:
    result = search(corpus, HeadStages(None, Favourite(), Settings()), threshold=0.5)
    assert ids(result) == ["room"]
    assert result.candidates[0].score == 0.9
    assert len(search(corpus, HeadStages(None, Favourite(), Settings()), threshold=0.0).candidates) > 1


def test_a_model_that_is_away_leaves_the_order_before_it(corpus: Corpus) -> None:
    plain = search(corpus, HeadStages(None, None, Settings()))
    result = search(corpus, HeadStages(Away(), Favourite(), Settings()), rerank="cross_encoder")
    assert ids(result) == ids(plain)
    (degradation,) = result.degradations
    assert degradation.stage == "cross_encoder"
    assert "HTTP 500" in degradation.reason
    assert "order before it stands" in degradation.reason


def test_a_search_may_name_the_model_or_none(corpus: Corpus) -> None:
    head = HeadStages(LikesLength(), Favourite(), Settings())
    both = search(corpus, head)
    assert {stage.stage for stage in both.candidates[0].stages} >= {"cross_encoder", "rerank"}
    llm = search(corpus, head, rerank="llm")
    assert "cross_encoder" not in {stage.stage for item in llm.candidates for stage in item.stages}
    assert ids(search(corpus, head, rerank="none")) == ids(search(corpus, HeadStages(None, None, Settings())))


@pytest.mark.parametrize("rerank", ["llm", "cohere"])
def test_a_model_that_is_not_there_is_refused(corpus: Corpus, rerank: str) -> None:
    with pytest.raises(InvalidInputError, match="allowed here: none, cross_encoder"):
        search(corpus, HeadStages(LikesLength(), None, Settings()), rerank=rerank)


def test_notes_are_there_for_who_asks(corpus: Corpus) -> None:
    head = HeadStages(None, Favourite(), Settings())
    assert all(item.notes == () for item in search(corpus, head).candidates)
    explained = search(corpus, head, explain=True)
    assert [note.text for note in explained.candidates[0].notes if note.stage == "rerank"] == ["listwise by student@2"]
