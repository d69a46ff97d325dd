from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from llmflow.errors import ConfigurationError
from llmflow.models.static_embedder import StaticEmbedder, weigh
from llmflow.settings import TrainingSettings

TERMS = np.array([4, 9, 4_000_000_000], dtype=np.uint32)


@pytest.fixture
def embedder() -> StaticEmbedder:
    table = np.array([[1, 0, 0], [0, 2, 0], [0, 0, 3]], dtype=np.float32)
    idf = np.array([1, 0.5, 2], dtype=np.float32)
    return StaticEmbedder(TERMS, idf, table, 7, TrainingSettings(dimensions=8), datetime(2026, 1, 2, tzinfo=UTC))


def test_a_vector_is_the_normalised_weighted_sum_of_its_terms(embedder: StaticEmbedder) -> None:
    expected = np.array([(1 + np.log(3)) * 1, 1 * 0.5 * 2, 0.5 * 2 * 3])
    vector = embedder.encode([{4: 3.0, 9: 1.0, 4_000_000_000: 0.5, 5: 8.0}])[0]
    np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), rtol=1e-6)
    assert vector.dtype == np.float32


def test_texts_without_a_known_term_are_zero(embedder: StaticEmbedder) -> None:
    vectors = embedder.encode([{}, {5: 1.0, 4_294_967_295: 1.0}, {9: 1.0}])
    np.testing.assert_allclose(vectors, [[0, 0, 0], [0, 0, 0], [0, 1, 0]])
    assert embedder.encode([]).shape == (0, 3)


def test_a_text_is_encoded_alike_alone_and_among_many(embedder: StaticEmbedder) -> None:
    texts = [{4: float(1 + i % 7), 9: float(1 + i % 3)} for i in range(2500)]
    together = embedder.encode(texts)
    np.testing.assert_allclose(together[2400], embedder.encode([texts[2400]])[0], rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)


def test_only_the_heaviest_terms_of_a_long_text_count() -> None:
    counts = sp.csr_array(np.ones((2, 300), dtype=np.float32))
    counts[1, 200:] = 0
    counts.eliminate_zeros()
    weights = weigh(counts, np.arange(1, 301, dtype=np.float32))
    assert sorted(weights[[0]].indices) == list(range(44, 300))
    assert weights[[1]].nnz == 200


def test_saved_and_loaded_it_is_the_same(embedder: StaticEmbedder, tmp_path: Path) -> None:
    folder = tmp_path / "models" / embedder.version
    embedder.save(folder)
    loaded = StaticEmbedder.load(folder)
    assert loaded.version == embedder.version
    assert (loaded.trained_on, loaded.settings, loaded.created) == (7, embedder.settings, embedder.created)
    np.testing.assert_array_equal(loaded.encode([{4: 2.0, 9: 1.0}]), embedder.encode([{4: 2.0, 9: 1.0}]))
    assert [path.name for path in folder.parent.iterdir()] == [embedder.version]


def test_the_version_follows_the_content(embedder: StaticEmbedder) -> None:
    assert replace(embedder, created=datetime.now(UTC), trained_on=9).version == embedder.version
    assert replace(embedder, table=embedder.table * 2).version != embedder.version


def test_saving_replaces_what_was_there(embedder: StaticEmbedder, tmp_path: Path) -> None:
    folder = tmp_path / "current"
    embedder.save(folder)
    (folder / "stray").write_text("x")
    other = replace(embedder, idf=embedder.idf * 2)
    other.save(folder)
    assert StaticEmbedder.load(folder).version == other.version
    assert not (folder / "stray").exists()


def test_a_failed_save_leaves_the_old_one(
    embedder: StaticEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "current"
    embedder.save(folder)

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="no space"):
        replace(embedder, idf=embedder.idf * 2).save(folder)
    assert StaticEmbedder.load(folder).version == embedder.version
    assert [path.name for path in tmp_path.iterdir()] == ["current"]


@pytest.mark.parametrize("damage", ["missing", "truncated", "exchanged", "metadata"])
def test_a_damaged_folder_is_refused_by_name(embedder: StaticEmbedder, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "current"
    embedder.save(folder)
    if damage == "missing":
        shutil.rmtree(folder)
    elif damage == "truncated":
        content = (folder / "table.npy").read_bytes()
        (folder / "table.npy").write_bytes(content[:-5])
    elif damage == "exchanged":
        np.save(folder / "table.npy", embedder.table * 2)
    else:
        (folder / "metadata.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="train-embedder") as caught:
        StaticEmbedder.load(folder)
    assert caught.value.param == str(folder)
