from __future__ import annotations

import random
import threading

import numpy as np
import pytest
from rows import WIDTH, row

from llmflow.schema import Scope
from llmflow.stores.index import LEVELS, SearchIndex, View
from llmflow.stores.vectors import ChunkRow, SparseVector

HR = Scope("acme", ("hr",))
BOTH = Scope("acme", ("hr", "it"))
LAWS = ["근로기준법", "개인정보 보호법", "근로기준법 시행령"]
K1, B = 1.5, 0.8


def sparse(rng: random.Random, terms: int) -> SparseVector:
    return {rng.randrange(60) * 2: float(rng.choice([0.5, 1, 2, 3])) for _ in range(terms)}


def random_row(rng: random.Random, id_: str, document: str, department: str = "hr", tenant: str = "acme") -> ChunkRow:
    passages = tuple(sparse(rng, rng.randrange(0, 9)) for _ in range(rng.randrange(1, 5)))
    return row(
        id_, document, tenant=tenant, department=department, lexical=sparse(rng, 15), passages=passages,
        embedding=[rng.gauss(0, 1) for _ in range(WIDTH)], title=rng.choice(LAWS),
        article=rng.choice([None, "제1조", "제2조", "제3조의2"]), learned=sparse(rng, rng.randrange(0, 8)),
    )  # fmt: skip


def by_id(view: View, scores: np.ndarray) -> dict[str, float]:
    return {view.chunk_id(int(at)): float(scores[at]) for at in np.flatnonzero(view.live)}


def ranking(scores: dict[str, float]) -> list[str]:
    return sorted(scores, key=lambda id_: (-round(scores[id_], 4), id_))


def assert_same(one: View, other: View, rng: random.Random) -> None:
    assert len(one) == len(other)
    query, direction = sparse(rng, 5), np.array([rng.gauss(0, 1) for _ in range(WIDTH)], np.float32)
    legs = [(view.lexical(level, query, K1, B), view) for level in LEVELS for view in (one, other)]
    legs += [(view.dense(direction), view) for view in (one, other)]
    legs += [(view.learned(query), view) for view in (one, other)]
    for (mine, here), (fresh, there) in zip(legs[::2], legs[1::2], strict=True):
        found, expected = by_id(here, mine.scores), by_id(there, fresh.scores)
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert ranking(found) == ranking(expected)
        assert mine.bound == pytest.approx(fresh.bound, rel=1e-6)
        assert not mine.scores[~here.live].any(), "rows that are gone score nothing"
    for law in (None, *LAWS, "회사는 근로기준법 시행령", "없는법"):
        for article in ("제1조", "제3조의2", "제9조"):
            rows = [{view.chunk_id(int(at)) for at in view.article(law, article)} for view in (one, other)]
            assert rows[0] == rows[1]


@pytest.mark.parametrize("seed", range(4))
def test_an_index_that_grew_and_shrank_equals_a_fresh_one(seed: int) -> None:
    rng = random.Random(seed)
    index, rows = SearchIndex(), dict[str, ChunkRow]()
    most = 0
    for step in range(80):
        document = f"d{rng.randrange(25)}"
        if rng.random() < 0.3:
            index.delete_document(HR, document)
            rows = {id_: each for id_, each in rows.items() if each.chunk.document_id != document}
        else:
            size = rng.choice([1, 2, 3, 12])
            written = [random_row(rng, f"{document}-{n}", document) for n in rng.sample(range(14), size)]
            index.upsert(written)
            rows |= {each.chunk.id: each for each in written}
        view = index.view(HR)
        most = max(most, len(view.segments))
        assert len(view) == index.count() == len(rows)
        if step % 8 == 7:
            assert_same(view, SearchIndex(rows.values()).view(HR), rng)
    assert most > 1, "the segments must have been several"


def test_segments_stay_few_and_are_seldom_copied() -> None:
    rng = random.Random(1)
    index = SearchIndex()
    built = 0
    known: set[int] = set()
    for number in range(300):
        index.upsert([random_row(rng, f"c{number}", f"d{number}")])
        segments = index.view(HR).segments
        assert len(segments) <= 10
        new = [segment for segment in segments if id(segment.ids) not in known]
        built += sum(len(segment.ids) for segment in new)
        known |= {id(segment.ids) for segment in new}
    assert built < 300 * 10
    for number in range(290):
        index.delete_document(HR, f"d{number}")
    held = sum(len(segment.ids) for segment in index.view(HR).segments)
    assert held <= 20, "deleted rows must not be held for ever"


def test_learned_weights_score_by_their_inner_product_over_the_highest_possible() -> None:
    rows = [
        row("both", learned={3: 2.0, 70_000: 1.0}), row("one", learned={3: 4.0}), row("other", learned={9: 4.0}),
        row("none"),
    ]  # fmt: skip
    index = SearchIndex(rows)
    index.upsert([row("hidden", department="it", learned={3: 100.0})])
    view = index.view(HR)
    assert view.learns_terms
    scores = view.learned({3: 0.5, 70_000: 1.0, 8: 0.5})
    assert scores.bound == 1
    highest = 4.0 * (0.5 + 1.0 + 0.5)  # the largest weight in sight, for every term of the question
    assert by_id(view, scores.scores) == pytest.approx(
        {"both": (2 * 0.5 + 1) / highest, "one": 4 * 0.5 / highest, "other": 0, "none": 0}
    )
    perfect = index.view(BOTH).learned({3: 7.0})
    assert by_id(index.view(BOTH), perfect.scores)["hidden"] == pytest.approx(1)
    assert not view.learned({}).scores.any()
    assert not view.learned({5: 1.0}).scores.any()
    plain = SearchIndex([row("plain")]).view(HR)
    assert not plain.learns_terms
    assert plain.learned({3: 1.0}).scores.tolist() == [0]
    assert len(SearchIndex().view(HR).learned({3: 1.0}).scores) == 0


def test_rows_keep_the_order_of_ingestion() -> None:
    index = SearchIndex()
    for number in range(30):
        index.upsert([row(f"c{number}", f"d{number}")])
    view = index.view(HR)
    assert [view.chunk_id(at) for at in range(30)] == [f"c{number}" for number in range(30)]
    assert view.document_id(17) == "d17"


def test_a_view_never_changes() -> None:
    rng = random.Random(2)
    index = SearchIndex(random_row(rng, f"c{n}", f"d{n % 5}") for n in range(40))
    view, query, direction = index.view(HR), sparse(rng, 8), np.ones(WIDTH, np.float32)

    def picture() -> list[object]:
        return [
            *(view.lexical(level, query, K1, B).scores.tolist() for level in LEVELS),
            view.dense(direction).scores.tolist(), view.article(None, "제1조").tolist(), len(view), view.live.tolist(),
            view.documents.tolist(), [view.chunk_id(at) for at in range(40)],
        ]  # fmt: skip

    before = picture()
    index.upsert([random_row(rng, f"c{n}", f"d{n % 5}") for n in range(30, 70)])
    index.delete_document(HR, "d0")
    assert View(view.segments).live.tolist() == before[5]
    index.replace_all([row("other")])
    assert picture() == before
    assert len(index.view(HR)) == 1


def test_readers_see_whole_writes_while_a_writer_works() -> None:
    index = SearchIndex([row(f"base{n}", "base") for n in range(50)])
    stop, failures, sizes = threading.Event(), list[BaseException](), set[int]()

    def read() -> None:
        try:
            while not stop.is_set():
                view = index.view(HR)
                sizes.add(len(view))
                scores = view.lexical("passage", {2: 1.0}, K1, B).scores
                assert len(scores) == len(view.live)
                assert (scores[view.live] > 0).all()
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(60):
        index.upsert([row(f"{number}-{part}", f"d{number}") for part in range(10)])
        index.delete_document(HR, f"d{number - 3}")
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert all(size % 10 == 0 for size in sizes)


def test_nobody_elses_documents_change_a_scope() -> None:
    rng = random.Random(3)
    index = SearchIndex(random_row(rng, f"c{n}", f"d{n}") for n in range(30))
    query = sparse(rng, 6)
    before = [index.view(HR).lexical(level, query, K1, B) for level in LEVELS]
    index.upsert([random_row(rng, f"it{n}", f"d{n}", department="it") for n in range(40)])
    index.upsert([random_row(rng, f"rival{n}", f"d{n}", tenant="rival") for n in range(40)])
    after = [index.view(HR).lexical(level, query, K1, B) for level in LEVELS]
    for one, other in zip(before, after, strict=True):
        assert one.scores.tolist() == other.scores.tolist()
        assert one.bound == other.bound
    assert len(index.view(BOTH)) == 70
    assert len(index.view(Scope("acme", ("hr", "hr", "it")))) == 70, "a department named twice counts once"
    assert len(index.view(Scope("rival", ("hr",)))) == 40
    for nobody in (Scope("acme", ()), Scope("acme", ("sales",)), Scope("Acme", ("hr",))):
        view = index.view(nobody)
        assert len(view) == len(view.lexical("chunk", query, K1, B).scores) == 0
        assert (
            len(view.lexical("passage", query, K1, B).scores) == len(view.dense(np.ones(WIDTH, np.float32)).scores) == 0
        )
        assert view.article(None, "제1조").tolist() == []


def test_deleting_touches_the_scope_only() -> None:
    index = SearchIndex([row("a", "d"), row("b", "d", department="it"), row("c", "d", tenant="rival")])
    index.delete_document(HR, "d")
    assert (len(index.view(HR)), index.count()) == (0, 2)
    index.delete_document(BOTH, "d")
    assert index.count() == 1


def test_articles_are_found_by_the_longest_title_named() -> None:
    index = SearchIndex([
        row("act", title="근로기준법", article="제60조"),
        row("decree", title="근로기준법 시행령", article="제60조"),
        row("act-part2", title="근로기준법", article="제60조"),
        row("privacy", title="개인정보 보호법", article="제15조의2"),
        row("rule", title="사규집", section_path=("사규집", "휴가 규정", "제3조(연차)"), article="제3조"),
    ])  # fmt: skip
    view = index.view(HR)

    def found(law: str | None, article: str) -> list[str]:
        return [view.chunk_id(int(at)) for at in view.article(law, article)]

    assert found("근로기준법", "제60조") == ["act", "act-part2"]
    assert found("올해 바뀐 근로기준법 시행령", "제60조") == ["decree"]
    assert found("개인정보보호법", "제15조의2") == ["privacy"]
    assert found("휴가 규정", "제3조") == ["rule"]
    assert found("상법", "제60조") == found("근로기준법", "제15조의2") == []
    assert found(None, "제60조") == ["act", "decree", "act-part2"]
