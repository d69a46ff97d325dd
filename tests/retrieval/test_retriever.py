from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from small_corpus import HR, WIDTH, Corpus, chunk

from llmflow.errors import InvalidInputError
from llmflow.models.static_embedder import StaticEmbedder
from llmflow.retrieval.legs import DENSE, LEXICAL, REFERENCE
from llmflow.retrieval.pipeline import Retriever
from llmflow.schema import RetrievalResult, Scope
from llmflow.settings import TrainingSettings


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    opened = Corpus(tmp_path_factory.mktemp("retrieval"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def retriever(corpus: Corpus) -> Retriever:
    return corpus.retriever()


def ids(result: RetrievalResult) -> list[str]:
    return [candidate.chunk.id for candidate in result.candidates]


def embedder(terms: list[int], width: int) -> StaticEmbedder:
    """An embedder that knows the given terms, each in a direction of its own."""
    keys = np.array(sorted(terms), np.uint32)
    table = np.eye(len(keys), width, dtype=np.float32)
    created = datetime(2026, 1, 2, tzinfo=UTC)
    settings = TrainingSettings(dimensions=width)
    return StaticEmbedder(keys, np.ones(len(keys), np.float32), table, 2, settings, created)


@pytest.mark.parametrize(
    "question",
    [
        "연차휴가 신청",
        "연차휴가를 신청",
        "연차휴가는 신청을",
        "연차휴가의 신청은?",
        "연차휴가도 신청하나요",
        "연차휴가만을 신청할 때",
    ],
)
def test_variants_of_a_question_find_the_same_document(retriever: Retriever, question: str) -> None:
    result = retriever.retrieve(HR, question)
    assert result.candidates[0].chunk.id == "leave"
    assert result.degradations == ()


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("출장비 정산은 며칠 안에 하나요?", "expense"),
        ("비밀번호를 얼마나 자주 바꿔야 하나", "password"),
        ("How often can I work from home?", "home"),
        ("employee's receipt for an expense", "receipts"),
        ("VPN 없이 재택근무가 되나요", "remote"),
    ],
)
def test_korean_english_and_mixed_questions(retriever: Retriever, question: str, expected: str) -> None:
    assert ids(retriever.retrieve(HR, question))[0] == expected


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("근로기준법 제60조", ["act60"]),
        ("근로기준법 60조는 연차휴가를 신청하고 결재를 받으라고 하나?", ["act60"]),
        ("회의실 예약과 근로기준법 시행령 제60조", ["decree60"]),
        ("「개인정보보호법」 제15조의2", ["privacy15"]),
        ("제60조", ["act60", "decree60"]),
    ],
)
def test_statutes_named_stand_first(retriever: Retriever, question: str, expected: list[str]) -> None:
    result = retriever.retrieve(HR, question)
    assert sorted(ids(result)[: len(expected)]) == expected
    for candidate in result.candidates:
        found = REFERENCE in {stage.stage for stage in candidate.stages}
        assert found == (candidate.chunk.id in expected)
    assert all(candidate.score == 1 for candidate in result.candidates[: len(expected)])


def test_an_article_nobody_has_changes_nothing(retriever: Retriever) -> None:
    named = retriever.retrieve(HR, "근로기준법 제999조 연차 유급휴가", threshold=0)
    assert REFERENCE not in {stage.stage for candidate in named.candidates for stage in candidate.stages}
    assert ids(named)[0] in ("act60", "act61")


@pytest.mark.parametrize(
    "question",
    [
        "휴가 신청과 비용 정산 규정",
        "employees work from home, expenses, receipts 승인 신청 규정",
        "근로기준법 제60조 휴가",
    ],
)
def test_top_k_never_reorders_the_head(retriever: Retriever, question: str) -> None:
    everything = retriever.retrieve(HR, question, top_k=1000, threshold=0)
    assert len(everything.candidates) > 3
    for top_k in range(1, 11):
        result = retriever.retrieve(HR, question, top_k=top_k, threshold=0)
        assert result.candidates == everything.candidates[:top_k]


def test_the_threshold_gates_the_final_score(corpus: Corpus) -> None:
    retriever = corpus.retriever(threshold=0.3)
    question = "출장비 정산과 휴가 신청과 회의실 예약"
    everything = retriever.retrieve(HR, question, top_k=100, threshold=0)
    assert everything.candidates[0].score > everything.candidates[-1].score > 0
    assert everything.candidates[-1].score < 0.3, "0 is a value, not the default"
    default = retriever.retrieve(HR, question, top_k=100)
    assert default.candidates == tuple(c for c in everything.candidates if c.score >= 0.3)
    assert retriever.retrieve(HR, question, threshold=1.0).candidates == ()
    middle = everything.candidates[1].score
    assert retriever.retrieve(HR, question, threshold=middle).candidates == everything.candidates[:2]


@pytest.mark.parametrize("threshold", [-0.01, 1.01, float("nan"), float("inf")])
def test_thresholds_outside_are_refused(retriever: Retriever, threshold: float) -> None:
    with pytest.raises(InvalidInputError, match="allowed are 0 to 1") as error:
        retriever.retrieve(HR, "휴가", threshold=threshold)
    assert error.value.param == "threshold"


@pytest.mark.parametrize("top_k", [0, -1, 1001])
def test_top_k_outside_is_refused(retriever: Retriever, top_k: int) -> None:
    with pytest.raises(InvalidInputError, match="allowed are 1 to 1000") as error:
        retriever.retrieve(HR, "휴가", top_k=top_k)
    assert error.value.param == "top_k"


def test_a_question_without_content_finds_nothing(retriever: Retriever) -> None:
    for question in ("???", "the of and", "없는낱말뿐", "ㅋㅋㅋ"):
        result = retriever.retrieve(HR, question, threshold=0)
        assert (result.candidates, result.degradations) == ((), ())
    with pytest.raises(InvalidInputError):
        retriever.retrieve(HR, " ")


def test_stages_tell_why_a_candidate_is_there(retriever: Retriever) -> None:
    result = retriever.retrieve(HR, "연차휴가 신청 결재", top_k=100, threshold=0)
    stages = [{stage.stage: stage for stage in candidate.stages} for candidate in result.candidates]
    assert set(stages[0]) == {*LEXICAL, "fused"}
    assert [found["fused"].rank for found in stages] == sorted(found["fused"].rank for found in stages)
    assert stages[0]["fused"].rank == 1
    for name in (*LEXICAL, "fused"):
        scored = [found[name] for found in stages if name in found]
        assert all(stage.score > 0 for stage in scored)
        for stage in scored:
            assert stage.rank == 1 + sum(other.score > stage.score for other in scored)
    for candidate, found in zip(result.candidates, stages, strict=True):
        assert found["fused"].score == candidate.score
        assert 0 < candidate.score <= 1
    assert {"analyze", "legs", "fuse", "select", *LEXICAL} == set(result.timings_ms)
    assert all(value >= 0 for value in result.timings_ms.values())


def test_a_leg_that_fails_is_named_and_the_rest_answer(corpus: Corpus, retriever: Retriever) -> None:
    wrong = embedder([2, 4, 6], width=2 * WIDTH)
    result = corpus.retriever(lambda: wrong).retrieve(HR, "연차휴가 신청")
    assert [degradation.stage for degradation in result.degradations] == [DENSE]
    assert result.degradations[0].reason.startswith("ValueError: ")
    assert DENSE not in result.timings_ms
    assert result.candidates == retriever.retrieve(HR, "연차휴가 신청").candidates


def test_no_dense_leg_without_embedder_or_weight(corpus: Corpus, retriever: Retriever) -> None:
    wrong = embedder([2, 4, 6], width=2 * WIDTH)
    assert corpus.retriever(lambda: wrong, dense_weight=0).retrieve(HR, "연차휴가").degradations == ()
    assert DENSE not in retriever.retrieve(HR, "연차휴가").timings_ms


def test_the_dense_leg_finds_what_shares_no_word(tmp_path: Path) -> None:
    from llmflow.models.sparse import dimension

    corpus = Corpus(tmp_path)
    one, other = dimension("경조사", "words"), dimension("회식", "words")
    keys = np.array(sorted([one, other]), np.uint32)
    same = np.ones((2, WIDTH), np.float32)
    made = StaticEmbedder(keys, np.ones(2, np.float32), same, 2, TrainingSettings(), datetime.now(UTC))
    corpus.indexer.swap(made)
    result = corpus.retriever(lambda: corpus.indexer.embedder).retrieve(HR, "경조사", threshold=0)
    (found,) = [candidate for candidate in result.candidates if candidate.chunk.id == "dinner"]
    assert {stage.stage: stage.rank for stage in found.stages} == {DENSE: 1, "fused": 1}
    # An embedder other than the one the rows were written with is not mixed in.
    newer = StaticEmbedder(keys, np.ones(2, np.float32), 2 * same, 2, TrainingSettings(), datetime.now(UTC))
    (degradation,) = corpus.retriever(lambda: newer).retrieve(HR, "연차휴가").degradations
    assert (degradation.stage, "swapped" in degradation.reason) == (DENSE, True)
    corpus.close()


def test_duplicates_leave_the_best(tmp_path: Path) -> None:
    text = "사내 도서관은 평일 아홉 시부터 여섯 시까지 열며 한 번에 다섯 권까지 두 주 동안 빌릴 수 있다. " * 3
    corpus = Corpus(tmp_path, [
        chunk("copy", text + "사본", title="안내"), chunk("original", text, title="도서관 이용 안내"),
        chunk("spaced", text.replace(" ", "  ")), chunk("other", "도서관 열쇠는 총무팀이 맡는다.", title="열쇠"),
    ])  # fmt: skip
    for similarity, expected in ((1.0, {"original", "other", "copy"}), (0.9, {"original", "other"})):
        retriever = corpus.retriever(near_duplicates=similarity)
        result = retriever.retrieve(HR, "도서관 이용 시간", threshold=0, top_k=10)
        assert ids(result)[0] == "original"
        assert set(ids(result)) == expected
    corpus.close()


def test_an_empty_store_answers_with_nothing(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path, [])
    for question in ("연차휴가", "근로기준법 제60조", "leave"):
        result = corpus.retriever().retrieve(HR, question, threshold=0)
        assert (result.candidates, result.degradations) == ((), ())
    corpus.close()


def test_scopes_are_islands(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path)
    retriever = corpus.retriever()
    before = retriever.retrieve(HR, "근로기준법 제60조 연차휴가 신청", top_k=100, threshold=0)
    secret = "연차휴가 신청 비밀 자료. 연차휴가 연차휴가 신청."
    corpus.add(chunk("it", secret, "doc-leave", "it", title="근로기준법", article="제60조"))
    corpus.add(chunk("rival", secret, "doc-leave", "hr", tenant="rival", title="근로기준법", article="제60조"))
    after = retriever.retrieve(HR, "근로기준법 제60조 연차휴가 신청", top_k=100, threshold=0)
    assert after.candidates == before.candidates
    assert ids(retriever.retrieve(Scope("rival", ("hr", "it")), "연차휴가 신청", threshold=0)) == ["rival"]
    both = retriever.retrieve(Scope("acme", ("hr", "it")), "연차휴가 신청", top_k=100, threshold=0)
    assert {"it", "leave"} <= set(ids(both))
    assert retriever.retrieve(Scope("acme", ()), "연차휴가 신청", threshold=0).candidates == ()
    corpus.close()


def test_writes_are_found_at_once_and_deletions_gone(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path)
    retriever = corpus.retriever()
    assert ids(retriever.retrieve(HR, "기숙사 통금", threshold=0)) == []
    new = chunk("dorm", "기숙사 통금은 자정이다.", "doc-dorm")
    corpus.add(new)
    assert ids(retriever.retrieve(HR, "기숙사 통금", threshold=0)) == ["dorm"]
    changed = chunk("dorm-v2", "기숙사 통금은 새벽 한 시이다.", "doc-dorm")
    corpus.indexer.replace(HR, "doc-dorm", corpus.indexer.encode([changed]))
    assert ids(retriever.retrieve(HR, "기숙사 통금", threshold=0)) == ["dorm-v2"]
    corpus.indexer.remove(HR, "doc-dorm")
    assert ids(retriever.retrieve(HR, "기숙사 통금", threshold=0)) == []
    corpus.close()


def test_a_reopened_store_gives_the_same_result(tmp_path: Path) -> None:
    from llmflow.stores.index import SearchIndex

    corpus = Corpus(tmp_path)
    corpus.indexer.remove(HR, "doc-room")
    question = "근로기준법 제60조 연차휴가 신청, VPN과 receipts"
    before = corpus.retriever().retrieve(HR, question, top_k=100, threshold=0)
    corpus.close()
    again = Corpus(tmp_path, [])
    again.indexer.index = SearchIndex(again.store.rows())
    after = again.retriever().retrieve(HR, question, top_k=100, threshold=0)
    assert {c.chunk.id: c.score for c in after.candidates} == pytest.approx(
        {c.chunk.id: c.score for c in before.candidates}, rel=1e-5
    )
    again.close()


def test_documents_left_out_never_shorten_the_result(corpus: Corpus) -> None:
    question = "연차휴가 신청, 출장비 정산, 재택근무 승인, 회의실 예약"
    retriever = corpus.retriever(depth=10)
    everything = retriever.retrieve(HR, question, top_k=100, threshold=0)
    best = everything.candidates[0].chunk.document_id
    others = frozenset(candidate.chunk.document_id for candidate in everything.candidates) - {best}
    found = retriever.retrieve(HR, question, top_k=2, threshold=0, documents=others)
    assert len(found.candidates) == 2
    assert {candidate.chunk.document_id for candidate in found.candidates} <= others
    scores = {candidate.chunk.id: candidate.score for candidate in everything.candidates}
    assert all(scores[candidate.chunk.id] == candidate.score for candidate in found.candidates)
    assert retriever.retrieve(HR, question, threshold=0, documents=frozenset()).candidates == ()


def test_the_depth_counts_only_the_documents_asked_for(tmp_path: Path) -> None:
    crowd = [chunk(f"crowd{number}", f"연차휴가 신청 안내 {number}번.", "doc-crowd") for number in range(20)]
    corpus = Corpus(
        tmp_path, [*crowd, chunk("single", "연차휴가와 상관없이 열리는 긴 행사 안내와 그 밖의 많은 이야기.")]
    )
    retriever = corpus.retriever(depth=10)
    assert "single" not in ids(retriever.retrieve(HR, "연차휴가 신청", top_k=20, threshold=0))
    assert ids(retriever.retrieve(HR, "연차휴가 신청", threshold=0, documents=frozenset({"doc-single"}))) == ["single"]
    corpus.close()
