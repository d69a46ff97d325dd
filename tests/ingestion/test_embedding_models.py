"""A model's server as the embedder of a collection: ingesting, searching, its failures, and changing it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "models"))
from json_server import Answer, JsonServer
from tei_server import letters, tei

from llmflow.errors import ConfigurationError, StoreHeldError, UpstreamError
from llmflow.models.embedder import document_text
from llmflow.runtime import Runtime
from llmflow.schema import DocumentStatus, JobStatus, RetrievalResult, Scope
from llmflow.settings import Settings

SCOPE = Scope("default", ("shared",))
QUESTION = "연차 휴가 신청"
AWAY = Answer({"error": "starting"}, status=503)


def settings_in(folder: Path, server: JsonServer | None, provider: str = "tei", **training: Any) -> Settings:
    return Settings.model_validate(
        {
            "data_dir": folder,
            "pii": {"enabled": False},
            "parsing": {"ocr": "off"},
            "tracing": {"enabled": False},
            "retrieval": {"threshold": 0, "top_k": 100, "leg_timeout_s": 30},
            "embedder": {
                "provider": provider,
                "base_url": server.base_url if server else None,
                "retries": 0,
                "breaker_failures": 1000,
                "training": {"min_chunks": 3, "steps": 3, "dimensions": 8, "batch_size": 4} | training,
            },
        }
    )


def documents(folder: Path, count: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.md" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_text(f"# 규정 {number}\n\n연차 휴가 신청은 {number}일 전에 한다. abc " + "h" * number, "utf-8")
    return paths


def ingest(runtime: Runtime, paths: Sequence[Path]) -> None:
    outcomes = list(runtime.ingest(SCOPE, "shared", paths))
    assert [outcome.document.status for outcome in outcomes] == [DocumentStatus.READY] * len(paths)


def stages(result: RetrievalResult) -> set[str]:
    return {stage.stage for hit in result.candidates for stage in hit.stages}


def contents(runtime: Runtime) -> dict[str, Any]:
    return {
        row.chunk.id: (row.chunk, row.lexical, row.passages, row.embedding.tolist()) for row in runtime.vectors.rows()
    }


def assert_letters(runtime: Runtime, count: int) -> None:
    """Every row has the vector that the server makes of it, in the store and in the index."""
    rows = {row.chunk.id: row for row in runtime.vectors.rows()}
    assert len(rows) == runtime.indexer.index.count() == count
    expected = {id_: np.array(letters(document_text(row.chunk))) for id_, row in rows.items()}
    for id_, row in rows.items():
        np.testing.assert_allclose(row.embedding, expected[id_] / np.linalg.norm(expected[id_]), rtol=1e-5)
        if runtime.vectors.learns_terms:
            assert row.learned == {10 + at: 0.5 * n for at, n in enumerate(expected[id_].tolist()) if n}
    view = runtime.indexer.index.view(SCOPE)
    scores = view.dense(np.eye(16, dtype=np.float32)[7]).scores
    for row in np.flatnonzero(view.live):
        vector = expected[view.chunk_id(int(row))]
        assert scores[row] == pytest.approx(vector[7] / np.linalg.norm(vector), rel=1e-4)


@pytest.mark.parametrize("splade", [True, False])
def test_documents_are_found_by_the_models_vectors(tmp_path: Path, splade: bool) -> None:
    with tei(splade=splade, limit=32) as server:
        settings = settings_in(tmp_path / "data", server)
        with Runtime(settings) as runtime:
            ingest(runtime, documents(tmp_path / "in", 5))
            assert runtime.vectors.version == "tei_org_Letters_v1_5_16" + ("_sparse" if splade else "")
            assert_letters(runtime, 5)
            before = len(server.calls)
            result = runtime.search(SCOPE, QUESTION)
            assert result.degradations == ()
            assert stages(result) >= ({"dense", "sparse"} if splade else {"dense"})
            assert ("sparse" in stages(result)) == splade
            assert len(server.calls) - before == 1 + splade, "the question is embedded once for both legs"
            assert not runtime.embedder_due()
            with pytest.raises(ConfigurationError, match="only static is"):
                runtime.train_embedder()
        with Runtime(settings) as runtime:
            assert_letters(runtime, 5)
            again = runtime.search(SCOPE, QUESTION)
            assert [hit.chunk.id for hit in again.candidates] == [hit.chunk.id for hit in result.candidates]


def test_a_collection_keeps_to_who_wrote_it(tmp_path: Path) -> None:
    with tei(limit=32) as first, tei(limit=32, model="org/other") as other:
        with Runtime(settings_in(tmp_path / "data", first)) as runtime:
            ingest(runtime, documents(tmp_path / "in", 2))
        for settings, wanted in (
            (settings_in(tmp_path / "data", other), "tei_org_other_16"),
            (settings_in(tmp_path / "data", None, "static"), "static"),
            (settings_in(tmp_path / "data", None, "none"), "none"),
        ):
            with Runtime(settings) as runtime, pytest.raises(ConfigurationError) as caught:
                runtime.search(SCOPE, QUESTION)
            for word in ("tei_org_Letters_v1_5_16", f"name {wanted} ", "llmflow reindex"):
                assert word in caught.value.message
            assert caught.value.param == "embedder.provider"
        with Runtime(settings_in(tmp_path / "data", first)) as runtime:
            assert_letters(runtime, 2)


def test_an_empty_collection_goes_to_whoever_comes(tmp_path: Path) -> None:
    paths = documents(tmp_path / "in", 2)
    with tei(splade=True, limit=32) as server:
        for _ in range(2):
            with Runtime(settings_in(tmp_path / "data", None, "static")) as runtime:
                assert runtime.search(SCOPE, QUESTION).candidates == ()
                assert (runtime.vectors.version, runtime.vectors.dimensions) == ("none", 8)
                ingest(runtime, paths)
                for document in runtime.database.documents(SCOPE).items:
                    runtime.delete(SCOPE, document.id)
            with Runtime(settings_in(tmp_path / "data", server)) as runtime:
                ingest(runtime, paths)
                assert_letters(runtime, 2)
                for document in runtime.database.documents(SCOPE).items:
                    runtime.delete(SCOPE, document.id)


def test_a_document_waits_for_a_server_that_is_away(tmp_path: Path) -> None:
    away = threading.Event()
    away.set()
    with tei(lambda *_: AWAY if away.is_set() else None, limit=32) as server:
        settings = settings_in(tmp_path / "data", server)
        with Runtime(settings) as runtime:
            paths = documents(tmp_path / "in", 1)
            with pytest.raises(UpstreamError, match="HTTP 503"):
                list(runtime.ingest(SCOPE, "shared", paths))
            (document,) = runtime.database.documents(SCOPE).items
            (job,) = runtime.database.jobs(SCOPE, document.id)
            assert job.status is JobStatus.QUEUED
            away.clear()
            done = runtime.ingester.run(job.id)
            assert done is not None
            assert done.status is DocumentStatus.READY
            assert_letters(runtime, 1)


def test_a_document_stays_as_it_was_where_its_new_version_cannot_be_stored(tmp_path: Path) -> None:
    serving, away = ["org/first"], threading.Event()

    def change(path: str, _: Any) -> Answer | None:
        if away.is_set():
            return AWAY
        return Answer({"model_id": serving[0]}) if path == "/info" else None

    with tei(change, limit=32) as server, Runtime(settings_in(tmp_path / "data", server)) as runtime:
        (path,) = documents(tmp_path / "in", 1)
        ingest(runtime, [path])
        before = contents(runtime)
        away.set()
        (degradation,) = runtime.search(SCOPE, QUESTION).degradations
        assert "HTTP 503" in degradation.reason
        away.clear()
        serving[0] = "org/second"
        (degradation,) = runtime.search(SCOPE, QUESTION).degradations
        assert degradation.stage == "dense"
        for words in ("by tei_org_first_16,", "tei_org_second_16 answers now", "`llmflow reindex`"):
            assert words in degradation.reason
        path.write_text("# 새 규정\n\n휴가는 없다.", "utf-8")
        with pytest.raises(ConfigurationError, match=r"by tei_org_first_16, the settings name tei_org_second_16"):
            list(runtime.ingest(SCOPE, "shared", [path]))
        assert contents(runtime) == before
        (degradation,) = runtime.search(SCOPE, QUESTION).degradations
        assert degradation.stage == "dense"
        assert len(runtime.search(SCOPE, QUESTION).candidates) == 1


def test_questions_go_without_a_server_that_is_away_and_say_so(tmp_path: Path) -> None:
    away = threading.Event()
    with tei(lambda *_: AWAY if away.is_set() else None, splade=True, limit=32) as server:
        settings = settings_in(tmp_path / "data", server)
        with Runtime(settings) as runtime:
            ingest(runtime, documents(tmp_path / "in", 3))
        away.set()
        with Runtime(settings) as runtime:  # opens without it
            result = runtime.search(SCOPE, QUESTION)
            assert len(result.candidates) == 3
            assert {degradation.stage for degradation in result.degradations} == {"dense", "sparse"}
            assert all("HTTP 503" in degradation.reason for degradation in result.degradations)
            away.clear()
            assert runtime.search(SCOPE, QUESTION).degradations == ()
        away.set()
        with Runtime(settings_in(tmp_path / "data", None, "none")) as runtime, pytest.raises(ConfigurationError):
            runtime.search(SCOPE, QUESTION)
        with Runtime(settings_in(tmp_path / "static", None, "none")) as runtime:
            ingest(runtime, documents(tmp_path / "in", 1))
        refused = pytest.raises(ConfigurationError, match="by none, the settings name tei ")
        with Runtime(settings_in(tmp_path / "static", server)) as runtime, refused:
            runtime.search(SCOPE, QUESTION)


def test_a_worker_embeds_and_the_owner_stores(tmp_path: Path) -> None:
    (path,) = documents(tmp_path / "in", 1)
    with tei(splade=True, limit=32) as server:
        settings = settings_in(tmp_path / "data", server)
        with Runtime(settings, owner=False) as worker, Runtime(settings) as owner:
            job = worker.intake.submit_file(SCOPE, "shared", path)
            assert worker.ingester.run(job.id) is None
            assert owner.indexer.index.count() == 0
            embedded = [body["inputs"] for at, body in server.calls if at == "/embed"]
            document = owner.ingester.run(job.id)
            assert document is not None
            assert document.status is DocumentStatus.READY
            assert_letters(owner, 1)
            later = [body["inputs"] for at, body in server.calls if at == "/embed"][len(embedded) :]
            (row,) = owner.vectors.rows()
            assert [document_text(row.chunk)] in embedded
            assert [document_text(row.chunk)] not in later


def test_what_a_worker_embedded_with_another_model_is_embedded_again(tmp_path: Path) -> None:
    (path,) = documents(tmp_path / "in", 1)
    with tei(limit=32, model="org/old") as old, tei(limit=32) as server:
        with (
            Runtime(settings_in(tmp_path / "data", old), owner=False) as worker,
            Runtime(settings_in(tmp_path / "data", server)) as owner,
        ):
            job = worker.intake.submit_file(SCOPE, "shared", path)
            worker.ingester.run(job.id)
            assert owner.ingester.run(job.id) is not None
            assert_letters(owner, 1)
        assert any("규정" in text for path, body in server.calls if path == "/embed" for text in body["inputs"])


def test_from_static_to_a_model_to_none_and_back(tmp_path: Path) -> None:
    with tei(splade=True, limit=32) as server:
        static = settings_in(tmp_path / "data", None, "static")
        with Runtime(static) as runtime:
            ingest(runtime, documents(tmp_path / "in", 6))
            trained = runtime.train_embedder()
            assert trained is not None
            before = contents(runtime)
        steps: list[tuple[int, int]] = []
        for settings, after in (
            (settings_in(tmp_path / "data", server), "tei_org_Letters_v1_5_16_sparse"),
            (settings_in(tmp_path / "data", None, "none"), "none"),
            (settings_in(tmp_path / "data", server), "tei_org_Letters_v1_5_16_sparse"),
            (static, trained.version),
        ):
            with Runtime(settings) as runtime:
                done = runtime.reindex(lambda now, total: steps.append((now, total)))
                assert (done.after, done.chunks) == (after, 6)
                assert runtime.reindex().before == after
            with Runtime(settings) as runtime:
                result = runtime.search(SCOPE, QUESTION)
                assert len(result.candidates) == 6
                assert result.degradations == ()
                assert ("dense" in stages(result)) == (after != "none")
                assert ("sparse" in stages(result)) == after.endswith("sparse")
                if settings.embedder.provider == "tei":
                    assert_letters(runtime, 6)
        assert (6, 6) in steps
        with Runtime(static) as runtime:
            again = contents(runtime)
            assert again.keys() == before.keys()
            for id_, (*fields, vector) in again.items():
                assert fields == list(before[id_][:-1])
                assert vector == pytest.approx(before[id_][-1], abs=1e-5)


def test_no_row_stays_without_a_vector_after_a_time_without_embedder(tmp_path: Path) -> None:
    static, none = (settings_in(tmp_path / "data", None, provider, growth=10) for provider in ("static", "none"))
    paths = documents(tmp_path / "in", 6)
    with Runtime(static) as runtime:
        ingest(runtime, paths[:4])
        trained = runtime.train_embedder()
        assert trained is not None
    with Runtime(none) as runtime:
        assert "dense" not in stages(runtime.search(SCOPE, QUESTION))
    with Runtime(static) as runtime:
        assert runtime.vectors.version == trained.version, "nothing was written meanwhile"
        assert "dense" in stages(runtime.search(SCOPE, QUESTION))
    with Runtime(none) as runtime:
        ingest(runtime, paths[4:])
        assert len(runtime.search(SCOPE, QUESTION).candidates) == 6
    with Runtime(static) as runtime:
        runtime.trainer.train_in_background()
        runtime.trainer.wait()
        assert all(np.any(row.embedding) for row in runtime.vectors.rows())
        assert "dense" in stages(runtime.search(SCOPE, QUESTION))


def test_too_few_chunks_to_train_on_go_without(tmp_path: Path) -> None:
    with tei(limit=32) as server:
        with Runtime(settings_in(tmp_path / "data", server)) as runtime:
            ingest(runtime, documents(tmp_path / "in", 2))
        with Runtime(settings_in(tmp_path / "data", None, "static")) as runtime:
            assert runtime.reindex().after == "none"
        with Runtime(settings_in(tmp_path / "data", None, "static")) as runtime:
            assert len(runtime.search(SCOPE, QUESTION).candidates) == 2


def reindexing(settings: Settings, cwd: Path) -> subprocess.Popen[str]:
    config = cwd / "reindex.yaml"
    config.write_text(settings.model_dump_json(exclude_unset=True), encoding="utf-8")  # JSON is YAML
    return subprocess.Popen(
        [sys.executable, "-m", "llmflow.cli.main", "reindex"],
        cwd=cwd, env={**os.environ, "LLMFLOW_CONFIG": str(config)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_killed_reindex_leaves_everything_as_it_was(tmp_path: Path) -> None:
    static = settings_in(tmp_path / "data", None, "static")
    with Runtime(static) as runtime:
        ingest(runtime, documents(tmp_path / "in", 6))
        assert runtime.train_embedder()
        before = contents(runtime)
    half, hang = threading.Event(), threading.Event()
    hang.set()

    def change(path: str, body: Any) -> Answer | None:
        if path == "/embed" and hang.is_set() and any("규정" in text for text in body["inputs"]):
            half.set()
            return Answer(trouble="hang")
        return None

    with tei(change, limit=32) as server:
        killed = reindexing(settings_in(tmp_path / "data", server), tmp_path)
        assert half.wait(60)
        killed.send_signal(signal.SIGKILL)
        killed.communicate(timeout=30)
        with Runtime(static) as runtime:
            assert contents(runtime) == before
            assert "dense" in stages(runtime.search(SCOPE, QUESTION))
        hang.clear()
        again = reindexing(settings_in(tmp_path / "data", server), tmp_path)
        output, errors = again.communicate(timeout=90)
        assert again.returncode == 0, errors
        assert "6 chunks: embedder static_" in output
        assert "-> tei_org_Letters_v1_5_16 in" in output
        with Runtime(settings_in(tmp_path / "data", server)) as runtime:
            assert_letters(runtime, 6)


def test_while_another_process_owns_the_stores_it_is_refused(tmp_path: Path) -> None:
    with Runtime(settings_in(tmp_path / "data", None, "none")) as runtime:
        assert runtime.search(SCOPE, QUESTION).candidates == ()
        other = reindexing(settings_in(tmp_path / "data", None, "static"), tmp_path)
        _, errors = other.communicate(timeout=60)
        assert other.returncode == 1
        assert "error:" in errors
        with Runtime(runtime.settings) as second, pytest.raises(StoreHeldError):
            second.reindex()
