"""The graph's legs against dense matrices, and what they may not see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_corpus import chunk

from llmflow.ingestion.entities.rules import draft_by_rules
from llmflow.ingestion.indexing import encode_chunks
from llmflow.retrieval.analysis import analyze_query
from llmflow.retrieval.graph import facts, graph_leg, spread
from llmflow.schema import Candidate, Chunk, Fact, Scope
from llmflow.settings import RetrievalSettings, Settings
from llmflow.stores.graph import GraphStore, open_graph
from llmflow.stores.index import SearchIndex

HR = Scope("acme", ("hr",))
BOTH = Scope("acme", ("hr", "it"))
LAW, DECREE = "근로기준법", "근로기준법 시행령"


def article(id_: str, law: str, number: int, heading: str, text: str, department: str = "hr") -> Chunk:
    label = f"제{number}조"
    return chunk(
        id_,
        text,
        f"{law}-{department}",
        department,
        title=law,
        section_path=(f"{label}({heading})",),
        article=label,
        ordinal=number,
    )


CHUNKS = [
    article("a1", LAW, 1, "목적", "이 법은 근로조건의 기준을 정한다."),
    article("a2", LAW, 2, "정의", '"소정근로시간"이란 제3조의 범위에서 정한 시간을 말한다.'),
    article("a3", LAW, 3, "근로시간", "제2조 및 제60조에 따른다."),
    article("a60", LAW, 60, "연차 유급휴가", "15일의 유급휴가를 준다."),
    article("a60b", LAW, 60, "연차 유급휴가", "② 제60조를 본다. 제3조도 본다."),
    article("d1", DECREE, 1, "목적", "법 제60조에 따라 정한다."),
    article("d2", DECREE, 2, "부여", "「국민연금법」 제1조, 전조와 법 제2조부터 제3조까지를 따른다."),
    chunk("home", "Ms Kim reads the Employee Handbook at home.", title="Remote work"),
    chunk("book", "It holds the rules.", title="Employee handbook"),
    article("x60", LAW, 60, "연차 유급휴가", "다른 부서의 제3조.", department="it"),
    article("x3", LAW, 3, "근로시간", "다른 부서의 근로시간.", department="it"),
]


class Setup:
    """The same chunks in an index and a graph."""

    def __init__(self, folder: Path) -> None:
        self.graph: GraphStore = open_graph(Settings(data_dir=folder))
        self.index = SearchIndex(encode_chunks(CHUNKS, RetrievalSettings(), None))
        for document in dict.fromkeys(each.document_id for each in CHUNKS):
            chunks = [each for each in CHUNKS if each.document_id == document]
            scope = Scope("acme", (chunks[0].department,))
            self.graph.replace(scope, chunks[0].department, draft_by_rules(chunks).finish())

    def row(self, scope: Scope, chunk_id: str) -> int:
        (row,) = self.index.view(scope).rows_of_chunk(chunk_id)
        return row

    def named(self, scope: Scope, question: str) -> dict[str, float]:
        view = self.index.view(scope)
        leg = graph_leg(view, self.graph, scope, analyze_query(question))()
        assert leg.scores.max() < leg.bound
        return {view.chunk_id(int(row)): float(leg.scores[row]) for row in np.flatnonzero(leg.scores)}


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    made = Setup(tmp_path_factory.mktemp("graph"))
    yield made
    made.graph.close()


# Read off the texts by hand: (what refers, to what).
EDGES = {
    ("a2", "a3"), ("a3", "a2"), ("a3", "a60"), ("a3", "a60b"), ("a60b", "a3"), ("d1", "a60"), ("d1", "a60b"),
    ("d2", "d1"), ("d2", "a2"), ("d2", "a3"), ("home", "book"), ("x60", "x3"),
}  # fmt: skip
WORKS = [{"a1", "a2", "a3", "a60", "a60b"}, {"d1", "d2"}, {"home"}, {"book"}, {"x60", "x3"}]


@pytest.mark.parametrize("scope", [HR, BOTH])
@pytest.mark.parametrize("seed", range(4))
def test_spreading_is_that_of_dense_matrices(setup: Setup, scope: Scope, seed: int) -> None:
    view = setup.index.view(scope)
    ids = [view.chunk_id(row) for row in range(len(view.live))]
    chance = np.random.default_rng(seed)
    scores = chance.random(len(ids)).astype(np.float32) * (chance.random(len(ids)) < 0.8)
    order = np.flatnonzero(scores)[np.argsort(-scores[np.flatnonzero(scores)], kind="stable")]

    refers = np.array([[(a, b) in EDGES for b in ids] for a in ids], dtype=float)
    shares = refers / np.maximum(refers.sum(axis=1, keepdims=True), 1)
    together = np.array([[a != b and any({a, b} <= work for work in WORKS) for b in ids] for a in ids], dtype=float)
    best = scores.max()
    given = scores.astype(float) ** 2 / best
    others = together @ given
    found = np.where(scores > 0, best * others / (others + 6 * best), 0)
    expected = found + 0.75 * given @ shares

    assert spread(view, setup.graph, scope, order, scores).scores == pytest.approx(expected, rel=1e-5)


def test_only_the_head_gives(setup: Setup) -> None:
    view = setup.index.view(HR)
    scores = np.zeros(len(view.live), dtype=np.float32)
    scores[setup.row(HR, "home")] = 0.5
    order = np.array([setup.row(HR, "home")])
    spreading = spread(view, setup.graph, HR, order, scores)
    assert {view.chunk_id(int(row)) for row in np.flatnonzero(spreading.scores)} == {"book"}
    assert spreading.explain(setup.row(HR, "book")) == "referred to by chunk home"
    assert spreading.explain(setup.row(HR, "home")) is None
    nothing = spread(view, setup.graph, HR, np.empty(0, np.int64), np.zeros(len(view.live), dtype=np.float32))
    assert not nothing.scores.any()


def test_a_question_finds_what_it_names(setup: Setup) -> None:
    leave = setup.named(HR, "연차 유급휴가는 며칠인가?")
    assert set(leave) == {"a60", "a60b"}
    assert "a2" in setup.named(HR, "소정근로시간의 뜻")
    handbook = setup.named(HR, "What is in the employee handbook?")
    assert max(handbook, key=lambda id_: handbook[id_]) == "book"
    assert setup.named(HR, "전혀 다른 물음") == {}


def test_a_name_that_more_of_the_question_is_about_scores_higher(setup: Setup) -> None:
    whole, part = setup.named(HR, "연차 유급휴가"), setup.named(HR, "유급휴가")
    assert whole["a60"] > part["a60"] > 0


def test_other_departments_are_not_seen(setup: Setup) -> None:
    assert set(setup.named(BOTH, "연차 유급휴가")) == {"a60", "a60b", "x60"}
    assert setup.named(HR, "연차 유급휴가") == {
        id_: score for id_, score in setup.named(BOTH, "연차 유급휴가").items() if id_ != "x60"
    }
    it = Scope("acme", ("it",))
    assert set(setup.named(it, "연차 유급휴가")) == {"x60"}
    assert setup.graph.named(Scope("rival", ("hr",)), ["연차", "유급", "급휴", "휴가"]) == []


def test_a_chunk_the_index_has_lost_is_left_out(setup: Setup) -> None:
    index = SearchIndex(encode_chunks([each for each in CHUNKS if each.id != "book"], RetrievalSettings(), None))
    view = index.view(HR)
    leg = graph_leg(view, setup.graph, HR, analyze_query("employee handbook"))()
    assert not leg.scores[list(view.rows_of_chunk("home"))].any()
    scores = np.ones(len(view.live), dtype=np.float32)
    assert len(spread(view, setup.graph, HR, np.arange(len(scores)), scores).scores) == len(view.live)


def test_facts_in_plain_words(setup: Setup) -> None:
    by_id = {each.id: each for each in CHUNKS}

    def of(*ids: str, scope: Scope = HR) -> tuple[Fact, ...]:
        return facts(setup.graph, scope, [Candidate(by_id[id_], 1.0) for id_ in ids])

    assert of("a2")[0] == Fact("소정근로시간", "정의", f"{LAW} 제2조", "a2")
    assert Fact(f"{LAW} 제3조", "참조한다", f"{LAW} 제60조", "a3") in of("a3")
    assert Fact(DECREE, "상위 법령", LAW, "d1") in of("d1", "d2")
    assert len(of("a2", "a3", "a60b", "d1", "d2")) == 5
    # What leads to another candidate comes first.
    assert of("a3", "a60")[0].object == f"{LAW} 제60조"
    assert of("x60") == ()
    assert of("x60", scope=BOTH)[0].object == f"{LAW} 제3조"
    assert of() == ()
