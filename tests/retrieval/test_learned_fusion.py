from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_corpus import HR, Corpus

from llmflow.errors import ConfigurationError, InvalidInputError
from llmflow.retrieval.analysis import analyze_query
from llmflow.retrieval.fusion import Fused
from llmflow.retrieval.learned import HEAD, Judged, LearnedFusion, feature_names, features, learn
from llmflow.retrieval.legs import REFERENCE
from llmflow.stores.index import LegScores, View

LEGS = ("words", "memory")


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[View]:
    corpus = Corpus(tmp_path_factory.mktemp("learned"))
    yield corpus.indexer.index.view(HR)
    corpus.close()


def questions(count: int = 320, rows: int = 20, seed: int = 3) -> list[Judged]:
    """Of each question's rows the relevant one is high in memory; the other columns are noise."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        values = rng.random((rows, len(feature_names(LEGS)))).astype(np.float32)
        best = int(rng.integers(rows))
        values[best, 3] += 0.5
        made.append(Judged(values, (np.arange(rows) == best).astype(np.int64)))
    return made


@pytest.fixture(scope="module")
def fusion() -> LearnedFusion:
    pytest.importorskip("lightgbm", reason="needs pip install 'llmflow[learn]'")
    return learn(questions(), LEGS, questions(60, seed=4), {"ndcg@10": 0.5})


def fused(view: View, **legs: dict[int, float]) -> Fused:
    """A list of all rows in order; scores of the legs by row, 0 for the others."""
    size = len(view.live)

    def leg(scores: dict[int, float]) -> LegScores:
        values = np.zeros(size, np.float32)
        values[list(scores)] = list(scores.values())
        return LegScores(values, 2.0)

    scores = np.linspace(0.9, 0.1, size, dtype=np.float32)
    return Fused(np.arange(size), scores, {name: leg(values) for name, values in legs.items()})


def test_features_by_hand(view: View) -> None:
    size = len(view.live)
    asked = analyze_query("휴가는?")
    found = features(fused(view, words={0: 1.0, 2: 0.5, 3: 0.5}), view, asked, LEGS)
    assert found.shape == (size, len(feature_names(LEGS)))
    columns = dict(zip(feature_names(LEGS), found.T, strict=True))
    assert columns["words.value"][:4] == pytest.approx([0.5, 0, 0.25, 0.25])
    assert columns["words.share"][:4] == pytest.approx([1, 0, 0.5, 0.5])
    # Rows with equal scores have equal ranks: three rows stand before those without a score.
    assert columns["words.rank"][:4] == pytest.approx(np.log1p([0, 3, 1, 1]))
    assert all(np.isnan(columns[f"memory.{kind}"]).all() for kind in ("value", "share", "rank"))
    assert columns["fused"] == pytest.approx(np.linspace(0.9, 0.1, size))
    assert columns["position"] == pytest.approx(np.log1p(np.arange(size)))
    lengths = np.concatenate([segment.chunks.lengths for segment in view.segments])
    assert columns["length"] == pytest.approx(np.log1p(lengths))
    assert columns["question_length"] == pytest.approx(np.full(size, np.log1p(len(asked.query.text))))


def test_a_leg_that_found_nothing_says_zero(view: View) -> None:
    found = features(fused(view, words={}, memory={}), view, analyze_query("휴가"), LEGS)
    columns = dict(zip(feature_names(LEGS), found.T, strict=True))
    for leg in LEGS:
        assert all((columns[f"{leg}.{kind}"] == 0).all() for kind in ("value", "share", "rank"))


def test_what_is_loaded_predicts_as_lightgbm_does(fusion: LearnedFusion, tmp_path: Path) -> None:
    import lightgbm

    saved = fusion.save(tmp_path / "fusion")
    assert fusion.save(tmp_path / "fusion") == saved
    loaded = LearnedFusion.load(saved)
    assert (loaded, loaded.version, saved.name) == (fusion, fusion.version, fusion.version)
    metadata = json.loads((saved / "fusion.json").read_text(encoding="utf-8"))
    assert metadata["features"] == list(feature_names(LEGS))
    assert metadata["metrics"] == {"ndcg@10": 0.5}
    booster = lightgbm.Booster(model_file=saved / "model.txt")
    values = np.concatenate([question.features for question in questions(5, seed=9)])
    margin = metadata["slope"] * booster.predict(values) + metadata["offset"]
    assert loaded.predict(values) == pytest.approx(1 / (1 + np.exp(-margin)), rel=1e-5)


def test_the_same_questions_give_the_same_model(fusion: LearnedFusion) -> None:
    again = learn(questions(), LEGS, questions(60, seed=4), {})
    assert again.version == fusion.version


def test_scores_are_probabilities(fusion: LearnedFusion) -> None:
    """The calibrated scores of questions never seen add up to the number of relevant rows, as Platt's fit must."""
    unseen = questions(100, seed=11)
    scores = np.concatenate([fusion.predict(question.features) for question in unseen])
    relevant = np.concatenate([question.grades for question in unseen])
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert scores.mean() == pytest.approx(relevant.mean(), rel=0.2)
    assert scores[relevant == 1].mean() > 3 * scores[relevant == 0].mean()


def test_the_head_is_put_in_the_models_order(fusion: LearnedFusion, view: View) -> None:
    size = len(view.live)
    assert size < HEAD
    before = fused(view, words={0: 1.0}, memory={size - 1: 2.0})
    after = fusion.apply(before, view, analyze_query("휴가"))
    assert sorted(after.order.tolist()) == list(range(size))
    assert after.order[0] == size - 1
    assert (np.diff(after.scores[after.order]) <= 0).all()
    assert after.legs is before.legs
    assert fusion.missing(before) == ()


def test_rows_after_the_head_stay_below_it_in_their_order(fusion: LearnedFusion, view: View) -> None:
    longer = View(view.segments * 9)
    before = fused(longer, words={0: 1.0}, memory={7: 2.0})
    after = fusion.apply(before, longer, analyze_query("휴가"))
    assert after.order[HEAD:].tolist() == before.order[HEAD:].tolist()
    assert (np.diff(after.scores[after.order]) <= 1e-7).all()


def test_a_row_named_by_a_reference_stands_first(fusion: LearnedFusion, view: View) -> None:
    before = fused(view, words={0: 1.0}, memory={1: 2.0}, **{REFERENCE: {4: 1.0}})
    after = fusion.apply(before, view, analyze_query("휴가"))
    assert after.order[:2].tolist() == [4, 1]
    assert after.scores[4] == 1.0


def test_a_missing_leg_is_named_and_does_not_stop_the_query(fusion: LearnedFusion, view: View) -> None:
    before = fused(view, words={0: 1.0})
    assert fusion.missing(before) == ("memory",)
    assert sorted(fusion.apply(before, view, analyze_query("휴가")).order.tolist()) == list(range(len(view.live)))
    nothing = replace(before, order=np.empty(0, np.int64))
    assert fusion.apply(nothing, view, analyze_query("휴가")) is nothing


def test_too_few_questions_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="299 judged questions"):
        learn(questions(299), LEGS, questions(10), {})
    nothing_found = [Judged(question.features, question.grades * 0) for question in questions()]
    with pytest.raises(InvalidInputError, match="0 of them with a relevant passage"):
        learn(nothing_found, LEGS, questions(10), {})


@pytest.mark.parametrize("name", ["model.txt", "fusion.json"])
def test_a_model_that_is_not_what_was_saved_is_refused(fusion: LearnedFusion, tmp_path: Path, name: str) -> None:
    saved = fusion.save(tmp_path / "fusion")
    file = saved / name
    text = file.read_text(encoding="utf-8")
    for broken in (text.replace("0", "1", 1) if name == "model.txt" else text.replace('"words"', '"world"'), ""):
        file.write_text(broken, encoding="utf-8")
        with pytest.raises(ConfigurationError, match="no usable learned fusion"):
            LearnedFusion.load(saved)
    file.unlink()
    with pytest.raises(ConfigurationError, match="no usable learned fusion"):
        LearnedFusion.load(saved)


def test_without_lightgbm_the_error_says_what_to_install(
    fusion: LearnedFusion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = fusion.save(tmp_path / "fusion")
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'llmflow\[learn\]'"):
        LearnedFusion.load(saved)
    library = tmp_path / "lightgbm"
    library.mkdir()
    missing = "libgomp.so.1: cannot open shared object file: No such file or directory"
    (library / "__init__.py").write_text(f"raise OSError({missing!r})\n", encoding="utf-8")
    monkeypatch.delitem(sys.modules, "lightgbm")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match=r"libgomp.so.1.*apt install libgomp1"):
        LearnedFusion.load(saved)
