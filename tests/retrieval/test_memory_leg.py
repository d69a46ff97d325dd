from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from small_corpus import CORPUS, HR, Corpus, chunk
from sqlalchemy import Engine

from llmflow.retrieval.analysis import analyze_query
from llmflow.retrieval.memory import MemoryIndex, QueryMemory, memory_leg, question_terms
from llmflow.schema import Scope
from llmflow.settings import MemorySettings
from llmflow.stores.database import Database
from llmflow.stores.index import LegScores
from llmflow.stores.memory import Accepted, MemoryStore, Origin, Remembered

SETTINGS = MemorySettings()
BOTH = Scope("acme", ("hr", "it"))


def past(question: str, *accepted: Accepted, askers: Sequence[str] = ("hr",)) -> Remembered:
    return Remembered(question, question_terms(analyze_query(question)), accepted, (tuple(askers),))


OTHERS = (
    past("회의실은 어떻게 예약하나요?", Accepted("doc-room")),
    past("How long may I work from home?", Accepted("doc-home", "home")),
    past("출장비는 언제까지 정산하나요?", Accepted("doc-expense", "expense")),
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    extra = chunk("vpn", "VPN 접속 방법", department="it")
    opened = Corpus(tmp_path_factory.mktemp("memory"), (*CORPUS, extra))
    yield opened
    opened.close()


def raised(corpus: Corpus, question: str, *memory: Remembered, scope: Scope = HR) -> tuple[dict[str, float], LegScores]:
    """Scores above 0 by chunk, and all of them."""
    view = corpus.indexer.index.view(scope)
    scores = memory_leg(view, analyze_query(question), lambda _: [MemoryIndex(memory)], scope, SETTINGS)()
    return {view.chunk_id(row): float(scores.scores[row]) for row in np.flatnonzero(scores.scores).tolist()}, scores


def similarity(index: MemoryIndex, question: str) -> dict[str, float]:
    terms = question_terms(analyze_query(question))
    return {found.question: value for found, value in index.nearest(terms, SETTINGS)}


def test_the_same_question_raises_its_passage_fully(corpus: Corpus) -> None:
    found, scores = raised(
        corpus, "분기 회식비는 누가 내나요?", past("분기 회식비는 누가 내나요?", Accepted("doc-dinner"))
    )
    assert found == {"dinner": pytest.approx(1.0, abs=1e-5)}
    assert scores.bound == 1.0


def test_similarity_is_the_cosine_of_idf_weighted_terms() -> None:
    index = MemoryIndex(
        [
            Remembered("first", {2: 1.0, 4: 1.0}, (), (("hr",),)),
            Remembered("second", {4: 2.0, 6: 1.0}, (), (("hr",),)),
        ]
    )
    idf = {2: np.log1p(1.5 / 1.5), 4: np.log1p(0.5 / 2.5), 6: np.log1p(1.5 / 1.5), 8: np.log1p(2.5 / 0.5)}
    asked = {4: idf[4], 8: idf[8]}
    second_terms = {4: (1 + np.log(2)) * idf[4], 6: idf[6]}
    expected = {
        "first": idf[4] ** 2 / np.sqrt((idf[2] ** 2 + idf[4] ** 2) * sum(value**2 for value in asked.values())),
        "second": second_terms[4]
        * idf[4]
        / np.sqrt(sum(value**2 for value in second_terms.values()) * sum(value**2 for value in asked.values())),
    }
    loose = MemorySettings(similarity=0)
    found = {item.question: value for item, value in index.nearest({4: 1.0, 8: 1.0}, loose)}
    assert found == pytest.approx(expected, rel=1e-5)


def test_scores_are_the_noisy_or_of_squared_similarities(corpus: Corpus) -> None:
    near = [
        past("회식 비용은 어느 예산에서 내나요?", Accepted("doc-dinner", "dinner")),
        past("회식 비용은 얼마까지 되나요?", Accepted("doc-dinner", "dinner"), Accepted("doc-expense")),
    ]
    question = "회식 비용은 누가 내나요?"
    found, _ = raised(corpus, question, *near, *OTHERS)
    by = similarity(MemoryIndex([*near, *OTHERS]), question)
    one, two = (by[each.question] for each in near)
    assert found["dinner"] == pytest.approx(1 - (1 - one**2) * (1 - two**2), rel=1e-4)
    assert found["dinner"] > found["expense"]


def test_a_document_is_raised_as_a_whole_and_a_chunk_alone(corpus: Corpus) -> None:
    question = "휴가는 어떻게 신청하나요?"
    corpus.add(chunk("dinner2", "회식 장소는 팀이 정한다.", "doc-dinner", ordinal=1))
    assert set(raised(corpus, question, past(question, Accepted("doc-dinner")))[0]) == {"dinner", "dinner2"}
    assert set(raised(corpus, question, past(question, Accepted("doc-dinner", "dinner2")))[0]) == {"dinner2"}


def test_what_the_asker_cannot_see_is_never_raised(corpus: Corpus) -> None:
    question = "VPN은 어떻게 접속하나요?"
    memory = past(question, Accepted("doc-vpn", "vpn"), Accepted("doc-vpn"), Accepted("gone"), askers=("hr", "it"))
    assert raised(corpus, question, memory)[0] == {}
    assert set(raised(corpus, question, memory, scope=BOTH)[0]) == {"vpn"}


def test_the_past_question_is_quoted_only_to_who_may_read_what_its_asker_could(corpus: Corpus) -> None:
    question = "회의실은 누가 쓰나요?"
    view = corpus.indexer.index.view(HR)
    for askers, said in (
        (("hr",), "accepted for '회의실은 누가 쓰나요?' (similarity 1.00)"),
        (("hr", "it"), "accepted for a similar question"),
    ):
        _, scores = raised(corpus, question, past(question, Accepted("doc-room"), askers=askers))
        (row,) = view.rows_of_chunk("room")
        assert scores.explain(row) == said
        (other,) = view.rows_of_chunk("leave")
        assert scores.explain(other) is None


def test_unrelated_questions_raise_nothing(corpus: Corpus) -> None:
    assert raised(corpus, "건강검진 병원 목록", *OTHERS)[0] == {}
    assert raised(corpus, "건강검진 병원 목록")[0] == {}
    assert raised(corpus, "?!", *OTHERS)[0] == {}


def test_what_is_remembered_counts_from_the_next_question_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'llmflow.db'}"
    mine, another_process = Database(url), Database(url)
    store, other = MemoryStore(mine.engine), MemoryStore(another_process.engine)
    document = mine.submit(
        HR, "hr", source="/a.md", name="a.md", mime_type="text/plain", size_bytes=1, sha256="0" * 64
    ).document_id
    memory = QueryMemory(store)
    assert memory.indexes(HR) == ()
    question = "병가는 며칠인가요?"
    terms = question_terms(analyze_query(question))
    (kept,) = other.remember(HR, question, terms, [Accepted(document)], Origin.FEEDBACK)
    (index,) = memory.indexes(HR)
    assert similarity(index, question) == {question: pytest.approx(1.0)}
    assert memory.indexes(HR)[0] is index
    assert memory.indexes(Scope("acme", ("it",))) == memory.indexes(Scope("globex", ("hr",))) == ()
    other.forget(HR, kept.id)
    assert memory.indexes(HR) == ()
    mine.close()
    another_process.close()


class Watched(MemoryStore):
    """Counts what is asked of it, and lets nothing be read while ``gate`` is closed."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.gate = threading.Event()
        self.asked, self.reading = threading.Semaphore(0), threading.Semaphore(0)
        self.readings = 0

    def versions(self, scope: Scope) -> dict[str, str]:
        try:
            return super().versions(scope)
        finally:
            self.asked.release()

    def remembered(self, tenant: str, department: str) -> tuple[Remembered, ...]:
        self.readings += 1
        self.reading.release()
        assert self.gate.wait(30)
        return super().remembered(tenant, department)


def test_a_department_is_read_once_at_a_time_and_others_use_what_there_was(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'llmflow.db'}")
    store = Watched(database.engine)
    document = database.submit(
        HR, "hr", source="/a.md", name="a.md", mime_type="text/plain", size_bytes=1, sha256="0" * 64
    ).document_id
    memory = QueryMemory(store)

    def accept(question: str) -> None:
        store.remember(HR, question, question_terms(analyze_query(question)), [Accepted(document)], Origin.FEEDBACK)

    def known() -> list[str]:
        return [question.question for index in memory.indexes(HR) for question in index.questions]

    accept("가")
    with ThreadPoolExecutor(4) as threads:
        # Where there is nothing yet, all wait for the one reading.
        first = [threads.submit(known) for _ in range(3)]
        for _ in first:
            assert store.asked.acquire(timeout=30)
        assert store.reading.acquire(timeout=30)
        store.gate.set()
        assert [each.result(30) for each in first] == [["가"]] * 3
        assert store.readings == 1
        # Where there is something, only who finds the change waits.
        store.gate.clear()
        accept("나")
        finder = threads.submit(known)
        assert store.reading.acquire(timeout=30)
        try:
            assert threads.submit(known).result(30) == ["가"]
            accept("다")
            assert threads.submit(known).result(30) == ["가"]
        finally:
            store.gate.set()
        assert finder.result(30)[:2] == ["가", "나"]
        assert known() == ["가", "나", "다"]
    database.close()


def test_a_reading_that_failed_is_tried_again(tmp_path: Path) -> None:
    class Failing(MemoryStore):
        def remembered(self, tenant: str, department: str) -> tuple[Remembered, ...]:
            if not allowed:
                raise OSError("no")
            return super().remembered(tenant, department)

    allowed: list[bool] = []
    database = Database(f"sqlite:///{tmp_path / 'llmflow.db'}")
    store = Failing(database.engine)
    document = database.submit(
        HR, "hr", source="/a.md", name="a.md", mime_type="text/plain", size_bytes=1, sha256="0" * 64
    ).document_id
    store.remember(HR, "가", {2: 1.0}, [Accepted(document)], Origin.FEEDBACK)
    memory = QueryMemory(store)
    with pytest.raises(OSError, match="no"):
        memory.indexes(HR)
    allowed.append(True)
    assert len(memory.indexes(HR)) == 1
    database.close()
