from __future__ import annotations

import numpy as np
import pytest
from small_corpus import HR, WIDTH, chunk

from llmflow.retrieval.fusion import FUSED, _support, fuse
from llmflow.retrieval.legs import DENSE, GRAPH, LEXICAL, MEMORY, REFERENCE
from llmflow.schema import StageNote
from llmflow.settings import RetrievalSettings
from llmflow.stores.index import LegScores, SearchIndex, View
from llmflow.stores.vectors import ChunkRow


def view_of(documents: str, deleted: str = "") -> View:
    """A view with a row for each letter, the letter being its document."""
    zeros = np.zeros(WIDTH, np.float32)
    index = SearchIndex(
        ChunkRow(chunk(f"c{number}", "x", document), {2: 1.0}, ({2: 1.0},), zeros)
        for number, document in enumerate(documents)
    )
    for document in deleted:
        index.delete_document(HR, document)
    return index.view(HR)


def leg(*scores: float, bound: float = 1.0) -> LegScores:
    return LegScores(np.array(scores, np.float32), bound)


def naive_support(scores: list[float], documents: list[int]) -> list[float]:
    found = []
    for row, document in enumerate(documents):
        others = [scores[at] for at, other in enumerate(documents) if other == document and at != row]
        found.append(max([0.0, *others]))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_support_is_that_of_a_plain_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(0, 60))
    scores = rng.choice([-np.inf, -0.5, 0.0, 0.25, 0.25, 0.5, 0.75, 1.5], size).astype(np.float32)
    documents = rng.integers(-5, 5, size)
    assert _support(scores, documents).tolist() == naive_support(scores.tolist(), documents.tolist())


def test_lexical_legs_are_divided_by_what_the_question_allows() -> None:
    legs = {name: leg(1.0, 0.5, 0.0, bound=2.0) for name in LEXICAL}
    fused = fuse(legs, view_of("abc"), RetrievalSettings(document_weight=0.0))
    assert fused.scores.tolist() == [0.5, 0.25, 0.0]
    assert fused.order.tolist() == [0, 1]
    some = fuse({LEXICAL[0]: legs[LEXICAL[0]]}, view_of("abc"), RetrievalSettings(document_weight=0.0))
    assert some.scores.tolist() == [0.5, 0.25, 0.0], "a leg that failed must not lower the others"


def test_weights_of_dense_reference_and_document() -> None:
    settings = RetrievalSettings(dense_weight=0.2, document_weight=0.1)
    legs = {
        LEXICAL[0]: leg(0.4, 0.2, 0.3, 0.0, 0.0),
        DENSE: leg(0.5, -0.5, 0.0, 0.1, -0.1),
        REFERENCE: leg(0.0, 0.0, 0.0, 1.0, 0.0),
    }
    fused = fuse(legs, view_of("aabcd"), settings)
    expected = [0.4 + 0.1 + 0.1 * 0.1, 0.2 - 0.1 + 0.1 * 0.5, 0.3, 1.0, 0.0]
    np.testing.assert_allclose(fused.scores, expected, rtol=1e-6)
    assert fused.order.tolist() == [3, 0, 2, 1]
    stages = {stage.stage: (stage.rank, pytest.approx(stage.score)) for stage in fused.stages(3)}
    assert stages == {DENSE: (2, 0.1), REFERENCE: (1, 1.0), FUSED: (1, 1.0)}
    assert [stage.stage for stage in fused.stages(1)] == [LEXICAL[0], FUSED], "a negative cosine found nothing"


def test_rows_that_are_gone_are_never_found() -> None:
    # Half the rows and fewer stay in their segment as dead.
    view = view_of("abbccd", deleted="a")
    assert len(view.live) == 6
    fused = fuse({LEXICAL[0]: leg(0.9, 0.1, 0, 0, 0, 0), DENSE: leg(*[1.0] * 6)}, view, RetrievalSettings())
    assert 0 not in fused.order
    assert fused.scores[0] == 0
    assert fused.order.tolist()[0] == 1


def test_equal_scores_keep_the_order_of_ingestion() -> None:
    fused = fuse({LEXICAL[0]: leg(*[0.5] * 12)}, view_of("abcdefghijkl"), RetrievalSettings(depth=100))
    assert fused.order.tolist() == list(range(12))


def test_depth_limits_how_many_are_kept() -> None:
    scores = np.random.default_rng(0).random(30)
    fused = fuse({LEXICAL[0]: leg(*scores)}, view_of("a" * 30), RetrievalSettings(depth=10, document_weight=0.0))
    assert fused.order.tolist() == np.argsort(-scores)[:10].tolist()


def test_no_legs_at_all_find_nothing() -> None:
    assert fuse({}, view_of("abc"), RetrievalSettings()).order.tolist() == []
    nothing = fuse({name: leg() for name in LEXICAL}, SearchIndex().view(HR), RetrievalSettings())
    assert (nothing.order.tolist(), nothing.scores.tolist()) == ([], [])
    unknown = {name: leg(0.0, 0.0, bound=0.0) for name in LEXICAL}
    assert fuse(unknown, view_of("ab"), RetrievalSettings()).order.tolist() == []


def test_reciprocal_ranks_are_of_keywords_and_meaning_as_one_list_each() -> None:
    legs = {name: leg(3.0, 2.0, 0.0, 1.0, bound=4.0) for name in LEXICAL} | {DENSE: leg(0.1, 0.0, 0.9, 0.2)}
    fused = fuse(legs, view_of("abcd"), RetrievalSettings(fusion="rrf", rrf_k=60, document_weight=0.0))
    ranks = {0: (1, 3), 1: (2, None), 2: (None, 1), 3: (3, 2)}
    expected = [sum(61 / (60 + rank) for rank in ranks[row] if rank) / 2 for row in range(4)]
    np.testing.assert_allclose(fused.scores, expected, rtol=1e-6)


def test_minmax_is_three_tenths_keywords_and_seven_tenths_dense_each_over_its_range() -> None:
    legs = {name: leg(3.0, 2.0, 1.0, bound=9.0) for name in LEXICAL} | {DENSE: leg(0.2, 0.5, 0.3)}
    fused = fuse(legs, view_of("abc"), RetrievalSettings(fusion="minmax", document_weight=0.0))
    np.testing.assert_allclose(fused.scores, [0.3, 0.15 + 0.7, 0.7 / 3], rtol=1e-6)


@pytest.mark.parametrize("fusion", ["convex", "minmax"])
def test_other_legs_are_added_with_their_weights(fusion: str) -> None:
    legs = {name: leg(1.0, 0.5, 0.25, bound=4.0) for name in LEXICAL}
    settings = RetrievalSettings.model_validate({"fusion": fusion, "graph_weight": 0.2, "document_weight": 0.0})
    alone = fuse(legs, view_of("abc"), settings)
    more = fuse(legs | {GRAPH: leg(0.0, 0.0, 0.1)}, view_of("abc"), settings)
    np.testing.assert_allclose(more.scores - alone.scores, [0, 0, 0.02], atol=1e-6)


@pytest.mark.parametrize("fusion", ["convex", "rrf", "minmax"])
def test_rows_that_are_not_allowed_count_for_nothing(fusion: str) -> None:
    legs = {name: leg(4.0, 2.0, 1.0, bound=4.0) for name in LEXICAL} | {DENSE: leg(0.9, 0.1, 0.4)}
    settings = RetrievalSettings.model_validate({"fusion": fusion, "document_weight": 0.0})
    within = fuse(legs, view_of("abc"), settings, np.array([False, True, True]))
    without = fuse(
        {name: leg(*each.scores[1:], bound=each.bound) for name, each in legs.items()}, view_of("bc"), settings
    )
    np.testing.assert_allclose(within.scores[1:], without.scores)
    assert within.scores[0] == 0
    assert 0 not in within.order


def test_a_leg_explains_the_rows_it_found() -> None:
    found = LegScores(np.array([0.5, 0.0], np.float32), 1.0, lambda row: f"row {row}")
    fused = fuse({GRAPH: found, DENSE: leg(0.5, 0.5)}, view_of("ab"), RetrievalSettings(document_weight=0.0))
    assert fused.notes(0) == (StageNote(GRAPH, "row 0"),)
    assert fused.notes(1) == ()


def test_in_reciprocal_ranks_documents_support_nothing_and_memory_is_worth_ranks() -> None:
    legs = {name: leg(1.0, 0.5, 0.0, bound=4.0) for name in LEXICAL}
    settings = RetrievalSettings(fusion="rrf", rrf_k=10, document_weight=0.5, memory_weight=0.5)
    fused = fuse(legs, view_of("aab"), settings)
    np.testing.assert_allclose(fused.scores, [11 / 11, 11 / 12, 0], rtol=1e-6)
    remembered = fuse(legs | {MEMORY: leg(0.0, 0.2, 0.4)}, view_of("aab"), settings)
    worth = 0.5 * (1 - 11 / 21)
    np.testing.assert_allclose(remembered.scores, [1, 11 / 12 + 0.2 * worth, 0.4 * worth], rtol=1e-6)


@pytest.mark.parametrize("fusion", ["convex", "rrf", "minmax"])
def test_the_only_row_is_found(fusion: str) -> None:
    legs = {name: leg(1.0, bound=4.0) for name in LEXICAL}
    assert fuse(legs, view_of("a"), RetrievalSettings.model_validate({"fusion": fusion})).order.tolist() == [0]
