"""From documents to hits with the model in this process, and from one embedder to another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llmflow.errors import ConfigurationError
from llmflow.runtime import Runtime
from llmflow.schema import DocumentStatus, RetrievalResult, Scope
from llmflow.settings import Settings

SCOPE = Scope("acme", ("hr",))
QUESTION = "연차 휴가는 언제까지 신청하나요?"
DOCUMENTS = sorted((Path(__file__).parents[2] / "samples" / "documents").glob("*.md"))[:3]


def settings(data: Path, provider: str, model: Path, **training: object) -> Settings:
    return Settings.model_validate(
        {
            "data_dir": data,
            "tracing": {"enabled": False},
            "retrieval": {"threshold": 0, "top_k": 20, "leg_timeout_s": 60},
            "embedder": {"provider": provider, "model": str(model), "training": training},
        }
    )


def stages(result: RetrievalResult) -> set[str]:
    assert result.degradations == ()
    return {stage.stage for hit in result.candidates for stage in hit.stages}


def ingest(runtime: Runtime) -> None:
    assert DOCUMENTS, "samples/documents has no Markdown files"
    for outcome in runtime.ingest(SCOPE, "hr", DOCUMENTS):
        assert outcome.document.status is DocumentStatus.READY


def test_ingest_search_and_open_again(bge_m3: Path, tmp_path: Path) -> None:
    here = settings(tmp_path, "bge-m3", bge_m3)
    with Runtime(here) as runtime:
        ingest(runtime)
        assert runtime.vectors.version.startswith("bge_m3_tiny_bge_m3_")
        rows = list(runtime.vectors.rows())
        np.testing.assert_allclose([np.linalg.norm(row.embedding) for row in rows], 1, atol=1e-4)
        assert all(row.learned for row in rows)
        first = runtime.search(SCOPE, QUESTION)
        assert {"dense", "sparse"} <= stages(first)
        for hit in first.candidates:
            assert all(0 <= stage.score <= 1 for stage in hit.stages if stage.stage == "sparse")
        with pytest.raises(ConfigurationError, match="only static is"):
            runtime.train_embedder()
    with Runtime(here) as runtime:
        assert [hit.chunk.id for hit in runtime.search(SCOPE, QUESTION).candidates] == [
            hit.chunk.id for hit in first.candidates
        ]
        assert runtime.delete(SCOPE, rows[0].chunk.document_id)


def test_from_static_to_the_model_and_back(bge_m3: Path, tmp_path: Path) -> None:
    static = settings(tmp_path, "static", bge_m3, min_chunks=5, steps=5, batch_size=8, dimensions=16)
    model = settings(tmp_path, "bge-m3", bge_m3)
    with Runtime(static) as runtime:
        ingest(runtime)
        assert runtime.train_embedder()
        trained, count = runtime.vectors.version, runtime.indexer.index.count()
        chunks = {row.chunk.id: (row.chunk, row.lexical, row.passages) for row in runtime.vectors.rows()}
    with Runtime(model) as runtime, pytest.raises(ConfigurationError) as caught:
        runtime.search(SCOPE, QUESTION)
    for word in (trained, "bge_m3_tiny", "llmflow reindex"):
        assert word in caught.value.message
    with Runtime(model) as runtime:
        steps: list[tuple[int, int]] = []
        done = runtime.reindex(lambda now, total: steps.append((now, total)))
        assert (done.before, done.chunks) == (trained, count)
        assert steps[-1] == (count, count)
        assert runtime.reindex().before == done.after, "nothing to do a second time"
    with Runtime(model) as runtime:
        assert {"dense", "sparse"} <= stages(runtime.search(SCOPE, QUESTION))
        stored = {row.chunk.id: (row.chunk, row.lexical, row.passages) for row in runtime.vectors.rows()}
        assert stored == chunks
    with Runtime(static) as runtime, pytest.raises(ConfigurationError, match="llmflow reindex"):
        runtime.search(SCOPE, QUESTION)
    with Runtime(static) as runtime:
        assert runtime.reindex().after == trained, "the same documents train the same embedder"
    with Runtime(static) as runtime:
        found = stages(runtime.search(SCOPE, QUESTION))
        assert "dense" in found
        assert "sparse" not in found
