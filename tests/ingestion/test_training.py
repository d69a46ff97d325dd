"""The embedded dense leg as it comes, grows and goes, on the store it writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pymilvus import MilvusClient

from llmflow.errors import ConfigurationError, InvalidInputError
from llmflow.models.static_training import train
from llmflow.runtime import Runtime
from llmflow.schema import Scope
from llmflow.settings import Settings

SCOPE = Scope("회사", ("인사",))
CHUNKS = 60
QUESTION = "휴가 신청은 언제까지 하나요?"
_SUBJECTS = ("휴가", "출장", "급여", "보안", "교육", "채용", "평가", "복지", "주차", "식당")
_VERBS = ("신청", "승인", "반려", "기록", "보고", "확인")


def settings_in(folder: Path, provider: str = "static", **training: object) -> Settings:
    small = {"min_chunks": 50, "steps": 10, "dimensions": 16, "batch_size": 16}
    return Settings.model_validate(
        {
            "data_dir": folder,
            "pii": {"enabled": False},
            "parsing": {"ocr": "off"},
            "tracing": {"enabled": False},
            "embedder": {"provider": provider, "training": small | training},
        }
    )


def article(n: int) -> str:
    subject, verb = _SUBJECTS[n % len(_SUBJECTS)], _VERBS[n // len(_SUBJECTS) % len(_VERBS)]
    body = f"{subject} {verb}은 {n}일까지 담당자에게 한다. {verb}한 {subject}은 {n}년간 둔다."
    return f"## 제{n}조({subject} {verb})\n\n{body}\n\n"


def ingest(runtime: Runtime, folder: Path, name: str, first: int, chunks: int) -> str:
    """A document of so many chunks; its id."""
    file = folder / name
    file.write_text(f"# {name} 규정\n\n" + "".join(article(n) for n in range(first, first + chunks)), encoding="utf-8")
    (outcome,) = runtime.ingest(SCOPE, "인사", [file])
    assert outcome.document.chunks_count == chunks
    return outcome.document.id


def stages(runtime: Runtime) -> set[str]:
    return {score.stage for candidate in runtime.search(SCOPE, QUESTION).candidates for score in candidate.stages}


def rows_by_id(runtime: Runtime) -> dict[str, object]:
    return {row.chunk.id: (row.chunk, row.lexical, row.passages) for row in runtime.vectors.rows()}


def assert_vectors_of(runtime: Runtime, version: str) -> None:
    """Every row carries the vector that this version makes of it, in the store and in the index."""
    embedder = runtime.indexer.embedder
    assert embedder is not None
    assert embedder.version == runtime.vectors.version == version
    rows = list(runtime.vectors.rows())
    expected = embedder.encode([row.lexical for row in rows])
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.stack([row.embedding for row in rows]), expected, atol=1e-5)
    view = runtime.indexer.index.view(SCOPE)
    scores = view.dense(expected[0]).scores
    dense = {view.chunk_id(int(row)): float(scores[row]) for row in np.flatnonzero(view.live)}
    assert dense == pytest.approx(
        {row.chunk.id: float(expected[0] @ expected[n]) for n, row in enumerate(rows)}, abs=1e-4
    )


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime(settings_in(tmp_path / "data")) as runtime:
        yield runtime


@pytest.fixture
def filled(runtime: Runtime, tmp_path: Path) -> Runtime:
    ingest(runtime, tmp_path, "a.md", 1, CHUNKS)
    return runtime


def test_due_once_the_corpus_is_large_enough_and_again_when_it_has_grown(runtime: Runtime, tmp_path: Path) -> None:
    assert not runtime.embedder_due()
    ingest(runtime, tmp_path, "a.md", 1, 49)
    assert not runtime.embedder_due()
    ingest(runtime, tmp_path, "b.md", 50, 11)
    assert runtime.embedder_due()
    assert runtime.train_embedder() is not None
    assert not runtime.embedder_due()
    ingest(runtime, tmp_path, "c.md", 61, 14)
    assert not runtime.embedder_due()  # 74 of 60 is less than a quarter more
    last = ingest(runtime, tmp_path, "d.md", 75, 1)
    assert runtime.embedder_due()
    runtime.delete(SCOPE, last)
    assert not runtime.embedder_due()


def test_never_due_where_it_is_switched_off(tmp_path: Path) -> None:
    with Runtime(settings_in(tmp_path / "data", provider="none")) as runtime:
        ingest(runtime, tmp_path, "a.md", 1, CHUNKS)
        assert not runtime.embedder_due()
        runtime.trainer.train_in_background()
        runtime.trainer.wait()
        assert runtime.vectors.version == "none"


def test_training_swaps_the_vectors_and_adds_the_dense_leg(filled: Runtime) -> None:
    before = rows_by_id(filled)
    assert filled.vectors.version == "none"
    assert not any(np.any(row.embedding) for row in filled.vectors.rows())
    assert "dense" not in stages(filled)
    steps: list[tuple[int, int]] = []
    trained = filled.train_embedder(lambda done, total: steps.append((done, total)))
    assert trained is not None
    assert trained.chunks == CHUNKS
    assert steps == [(step, 10) for step in range(1, 11)]
    assert_vectors_of(filled, trained.version)
    assert rows_by_id(filled) == before
    assert "dense" in stages(filled)
    assert [path.name for path in filled.settings.models_dir.iterdir()] == [trained.version]


def test_documents_ingested_later_get_vectors_and_can_be_deleted(filled: Runtime, tmp_path: Path) -> None:
    trained = filled.train_embedder()
    assert trained is not None
    later = ingest(filled, tmp_path, "b.md", 100, 5)
    assert_vectors_of(filled, trained.version)
    assert len(filled.vectors.chunks_of(SCOPE, later)) == 5
    filled.delete(SCOPE, later)
    assert filled.vectors.chunks_of(SCOPE, later) == []
    assert filled.indexer.index.count() == len(rows_by_id(filled)) == CHUNKS
    assert_vectors_of(filled, trained.version)


def test_the_version_is_loaded_when_the_store_is_opened_again(filled: Runtime, tmp_path: Path) -> None:
    trained = filled.train_embedder()
    assert trained is not None
    filled.close()
    with Runtime(settings_in(tmp_path / "data", dimensions=32)) as reopened:
        assert_vectors_of(reopened, trained.version)
        assert "dense" in stages(reopened)
        ingest(reopened, tmp_path, "b.md", 100, 5)
        assert_vectors_of(reopened, trained.version)
        # Another width comes with the next training.
        wider = reopened.train_embedder()
        assert wider is not None
        assert_vectors_of(reopened, wider.version)
        assert {len(row.embedding) for row in reopened.vectors.rows()} == {32}


def test_training_again_leaves_one_version(filled: Runtime, tmp_path: Path) -> None:
    first = filled.train_embedder()
    assert first is not None
    again = filled.train_embedder()
    assert again == first  # nothing has changed
    assert_vectors_of(filled, first.version)
    ingest(filled, tmp_path, "b.md", 100, 20)
    second = filled.train_embedder()
    assert second is not None
    assert second.version != first.version
    assert second.chunks == CHUNKS + 20
    assert_vectors_of(filled, second.version)
    assert [path.name for path in filled.settings.models_dir.iterdir()] == [second.version]
    filled.close()
    client = MilvusClient(filled.settings.vectors_uri)
    assert len(client.list_collections()) == 2
    client.close()


def test_a_lost_model_is_an_error_that_says_what_to_do(filled: Runtime, tmp_path: Path) -> None:
    trained = filled.train_embedder()
    assert trained is not None
    filled.close()
    filled.settings.models_dir.rename(tmp_path / "elsewhere")
    with Runtime(filled.settings) as runtime, pytest.raises(ConfigurationError) as caught:
        runtime.search(SCOPE, QUESTION)
    for word in (trained.version, "backup", "embedder.provider", "train-embedder"):
        assert word in caught.value.message
    with Runtime(settings_in(tmp_path / "data", provider="none")) as runtime:
        assert runtime.search(SCOPE, QUESTION).candidates
        assert "dense" not in stages(runtime)
        ingest(runtime, tmp_path, "b.md", 100, 3)
        assert runtime.train_embedder() is not None
    with Runtime(filled.settings) as runtime:
        assert "dense" in stages(runtime)
        assert_vectors_of(runtime, runtime.vectors.version)


def test_training_in_the_background(filled: Runtime) -> None:
    filled.trainer.train_in_background()
    filled.trainer.train_in_background()  # one is enough
    filled.trainer.wait()
    assert_vectors_of(filled, filled.vectors.version)
    assert not filled.embedder_due()
    version = filled.vectors.version
    filled.trainer.train_in_background()
    filled.trainer.wait()
    assert filled.vectors.version == version


def test_closing_during_a_training_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    with Runtime(settings_in(tmp_path / "data", steps=10**9, epochs=1e9)) as runtime:
        ingest(runtime, tmp_path, "a.md", 1, CHUNKS)
        before = rows_by_id(runtime)
        runtime.trainer.train_in_background()
    with Runtime(settings_in(tmp_path / "data")) as runtime:
        assert runtime.vectors.version == "none"
        assert rows_by_id(runtime) == before
        assert runtime.search(SCOPE, QUESTION).candidates
        assert not list(runtime.settings.models_dir.glob("*"))


def test_one_training_at_a_time_and_close_cuts_it_short(tmp_path: Path) -> None:
    with Runtime(settings_in(tmp_path / "data", steps=10**9, epochs=1e9)) as runtime:
        ingest(runtime, tmp_path, "a.md", 1, CHUNKS)
        running, results = threading.Event(), []
        thread = threading.Thread(target=lambda: results.append(runtime.train_embedder(lambda *_: running.set())))
        thread.start()
        assert running.wait(60)
        with pytest.raises(InvalidInputError, match="already"):
            runtime.train_embedder()
        ingest(runtime, tmp_path, "b.md", 100, 2)  # goes on meanwhile
        assert runtime.search(SCOPE, QUESTION).candidates
        runtime.trainer.close()
        thread.join()
        assert results == [None]
        assert runtime.vectors.version == "none"


def test_too_few_chunks_cannot_be_trained_on(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="0 chunks"):
        runtime.train_embedder()
    for name, text in {"a.md": "apple", "b.md": "banana"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        list(runtime.ingest(SCOPE, "인사", [tmp_path / name]))
    with pytest.raises(InvalidInputError, match="share a term"):
        runtime.train_embedder()
    assert runtime.vectors.version == "none"
    assert runtime.search(SCOPE, "apple", threshold=0).candidates


def test_killed_between_saving_and_swapping_the_store_works_on(filled: Runtime, tmp_path: Path) -> None:
    embedder = train(filled.trainer._texts(), filled.settings.embedder.training)
    assert embedder is not None
    embedder.save(filled.settings.models_dir / embedder.version)
    before = rows_by_id(filled)
    filled.close()
    with Runtime(filled.settings) as runtime:
        assert runtime.vectors.version == "none"
        assert rows_by_id(runtime) == before
        assert "dense" not in stages(runtime)
        ingest(runtime, tmp_path, "b.md", 100, 20)
        trained = runtime.train_embedder()
        assert trained is not None
        assert [path.name for path in runtime.settings.models_dir.iterdir()] == [trained.version]
        assert_vectors_of(runtime, trained.version)


def test_a_swap_that_breaks_half_way_leaves_the_old_store(
    filled: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows_by_id(filled)
    with monkeypatch.context() as patch:
        patch.setattr(MilvusClient, "alter_alias", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            filled.train_embedder()
    assert filled.vectors.version == "none"
    assert filled.indexer.embedder is None
    assert "dense" not in stages(filled)
    assert rows_by_id(filled) == before
    filled.close()
    with Runtime(filled.settings) as runtime:
        assert rows_by_id(runtime) == before
        trained = runtime.train_embedder()
        assert trained is not None
        assert_vectors_of(runtime, trained.version)


def test_searches_and_ingestions_go_on_during_a_swap(filled: Runtime, tmp_path: Path) -> None:
    errors: list[BaseException] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            try:
                result = filled.search(SCOPE, QUESTION)
                assert result.candidates
                assert result.degradations == ()
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=search) for _ in range(2)]
    filled.search(SCOPE, QUESTION)
    for thread in threads:
        thread.start()
    for n in range(3):
        filled.trainer.train_in_background()
        ingest(filled, tmp_path, f"{n}.md", 100 + 40 * n, 40)
        filled.trainer.wait()
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert_vectors_of(filled, filled.vectors.version)
    assert filled.indexer.index.count() == len(rows_by_id(filled)) == CHUNKS + 120
