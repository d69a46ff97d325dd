"""Processes killed in the middle of an ingestion, and what the next one makes of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmflow.runtime import Runtime
from llmflow.schema import Document, DocumentStatus, FailureReason, JobStatus, Scope
from llmflow.settings import Settings
from llmflow.stores.objects import original_key, originals_folder

SCOPE = Scope("회사", ("인사",))
FILES = 40
QUESTIONS = ("기숙사 7동 통금", "23번 규정의 식대", "관리인의 전화번호", "제5조")

# Ingests, says each outcome on a line, and kills itself where it is told to.
VICTIM = """
import json, os, signal, sys, threading
from pathlib import Path
from pymilvus import MilvusClient
from llmflow.runtime import Runtime
from llmflow.schema import Scope
from llmflow.settings import Settings
from llmflow.stores.database import Database

settings, folder, place, after = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
seen, kept = 0, threading.Event()

def die():
    os.kill(os.getpid(), signal.SIGKILL)

if place == "between passages and chunks":
    upsert = MilvusClient.upsert
    def upsert_and_die(self, collection, rows, **kwargs):
        global seen
        result = upsert(self, collection, rows, **kwargs)
        seen += collection.endswith("_passages")
        if seen == after:
            die()
        return result
    MilvusClient.upsert = upsert_and_die
elif place == "one under way and one begun":
    advance, submit = Database.advance, Database.submit
    def block(self, scope, job, stage, trace_id=None):
        advance(self, scope, job, stage, trace_id)
        kept.set()
        threading.Event().wait()
    def last(self, *args, **kwargs):
        if kwargs["name"] == "lost.md":
            kept.wait()
            submit(self, *args, **kwargs | {"sha256": "0" * 64})
            die()
        return submit(self, *args, **kwargs)
    Database.advance, Database.submit = block, last

with Runtime(Settings.model_validate_json(settings)) as runtime:
    for outcome in runtime.ingest(Scope("회사", ("인사",)), "인사", [Path(folder)]):
        print(outcome.document.name, outcome.document.status.value, flush=True)
"""


def settings_in(folder: Path) -> Settings:
    return Settings.model_validate(
        {"data_dir": folder, "pii": {"enabled": False}, "parsing": {"ocr": "off"}, "tracing": {"enabled": False}}
    )


def killed_at(data: Path, documents: Path, place: str, after: int = 1, delay_s: float = 0.0) -> None:
    """Ingest in a process that ends by SIGKILL: its own, or ours ``delay_s`` after so many outcomes."""
    settings = settings_in(data).model_dump_json(exclude_unset=True)
    with subprocess.Popen(
        [sys.executable, "-c", VICTIM, settings, str(documents), place, str(after)],
        stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(data.parent)},  # what it leaves goes with the test
    ) as process:
        assert process.stdout is not None
        if place == "any moment":
            for _ in range(after):
                process.stdout.readline()
            time.sleep(delay_s)
            process.kill()
        process.stdout.read()
        assert process.wait(60) == -signal.SIGKILL


def picture(runtime: Runtime) -> dict[str, Any]:
    """Everything a reader could notice."""
    rows = list(runtime.vectors.rows())
    return {
        "ids": Counter(row.chunk.id for row in rows),
        "rows": {row.chunk.id: (row.chunk, row.lexical, row.passages) for row in rows},
        "zero": all(not np.any(row.embedding) for row in rows),
        "live": runtime.indexer.index.count(),
        "found": [
            # Candidates that score the same come in the order they were written in.
            sorted((-found.score, found.chunk.id, found.chunk, found.stages) for found in result.candidates)
            for result in (runtime.search(SCOPE, question, top_k=1000, threshold=0) for question in QUESTIONS)
        ],
        "documents": {
            (document.id, document.name, document.status, document.sha256, document.chunks_count)
            for document in runtime.database.documents(SCOPE, limit=1000).items
        },
        "originals": list(runtime.objects.keys(SCOPE)),
    }


def only(runtime: Runtime, name: str) -> Document:
    (document,) = [item for item in runtime.database.documents(SCOPE).items if item.name == name]
    return document


def test_killed_again_and_again_nothing_is_lost_and_nothing_twice(tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    for n in range(FILES):
        articles = "".join(
            f"## 제{a}조({n}동의 생활)\n\n{a}항에 따라 {n}동은 {a}층을 쓴다.\n\n" for a in range(1, n % 7 + 2)
        )
        text = f"# {n}번 규정\n\n기숙사 {n}동의 통금은 {n % 24}시이고 식대는 {n}천원이다.\n\n{articles}"
        (documents / f"{n:02}.md").write_text(text, encoding="utf-8")
    with Runtime(settings_in(tmp_path / "clean")) as runtime:
        assert all(outcome.document.status == "ready" for outcome in runtime.ingest(SCOPE, "인사", [documents]))
        clean = picture(runtime)
    assert set(clean["ids"].values()) == {1}
    assert len(clean["documents"]) == FILES

    data = tmp_path / "data"
    chance = random.Random()
    killed_at(data, documents, "between passages and chunks", after=3)
    killed_at(data, documents, "any moment", after=chance.randrange(5, 20), delay_s=chance.random() / 10)
    with Runtime(settings_in(data)) as runtime:
        assert len(runtime.ingester.due()) > 0
        outcomes = list(runtime.ingest(SCOPE, "인사", [documents]))
        assert len(outcomes) == FILES
        assert any(outcome.unchanged for outcome in outcomes)
        assert any(not outcome.unchanged for outcome in outcomes)
        assert picture(runtime) == clean
        assert runtime.ingester.due() == []
        for outcome in outcomes:
            jobs = Counter(job.status for job in runtime.database.jobs(SCOPE, outcome.document.id))
            assert jobs[JobStatus.DONE] >= 1
            assert jobs[JobStatus.RUNNING] == 0
    with Runtime(settings_in(data)) as runtime:
        assert picture(runtime) == clean
        assert all(outcome.unchanged for outcome in runtime.ingest(SCOPE, "인사", [documents]))


def test_what_was_killed_is_resumed_from_the_kept_original_when_its_source_is_gone(tmp_path: Path) -> None:
    documents, data = tmp_path / "documents", tmp_path / "data"
    documents.mkdir()
    (documents / "kept.md").write_text("# 기숙사\n\n기숙사 통금은 밤 열한시이다.\n", encoding="utf-8")
    (documents / "lost.md").write_text("# 식당\n\n식당은 정오에 연다.\n", encoding="utf-8")
    killed_at(data, documents, "one under way and one begun")
    (documents / "kept.md").unlink()
    (documents / "lost.md").unlink()
    (documents / "new.md").write_text("# 주차\n\n주차는 지하에 한다.\n", encoding="utf-8")
    with Runtime(settings_in(data)) as runtime:
        due = [runtime.database.job(SCOPE, job.id)[1].name for job in runtime.ingester.due()]
        assert sorted(due) == ["kept.md", "lost.md"]
        counts: list[int] = []
        outcomes = {
            outcome.document.name: outcome.document
            for outcome in runtime.ingest(SCOPE, "인사", [documents], counts.append)
        }
        assert counts == [3]
        assert {name: document.status.value for name, document in outcomes.items()} == {
            "kept.md": "ready",
            "lost.md": "failed",
            "new.md": "ready",
        }
        kept, lost = outcomes["kept.md"], outcomes["lost.md"]
        assert kept.source == str(documents / "kept.md")
        assert list(runtime.objects.keys(SCOPE, originals_folder(kept.id))) == [original_key(kept.id, kept.sha256)]
        (candidate, *_) = runtime.search(SCOPE, "기숙사 통금").candidates
        assert (candidate.chunk.document_name, candidate.chunk.document_id) == ("kept.md", kept.id)
        assert lost.reason is FailureReason.INTERNAL
        assert "lost.md: its original is gone; ingest it again" in str(lost.message)
        # It has its outcome now, so the next time is about new files alone.
        assert all(
            outcome.unchanged for outcome in runtime.ingest(SCOPE, "인사", [documents / "new.md"], counts.append)
        )
        assert counts == [3, 1]


@pytest.mark.parametrize("sha256", ["0" * 64, ""])
def test_a_change_that_was_killed_and_is_gone_leaves_nothing_to_find(tmp_path: Path, sha256: str) -> None:
    """A new version began, its process was killed before keeping it, and its file is gone."""
    file = tmp_path / "a.md"
    file.write_text("# 기숙사\n\n기숙사 통금은 밤 열한시이다.\n", encoding="utf-8")
    with Runtime(settings_in(tmp_path / "data")) as runtime:
        list(runtime.ingest(SCOPE, "인사", [file]))
        begun = {"source": str(file), "name": "a.md", "mime_type": "text/markdown", "size_bytes": 1, "sha256": sha256}
        runtime.database.submit(SCOPE, "인사", **begun)
        file.unlink()
        (outcome,) = runtime.ingest(SCOPE, "인사", [])
        assert outcome.document.status is DocumentStatus.FAILED
        assert runtime.search(SCOPE, "기숙사 통금", threshold=0).candidates == ()
        assert list(runtime.vectors.rows()) == []


def test_whoever_stops_listening_can_go_on_later(tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    for n in range(12):
        (documents / f"{n}.md").write_text(f"# 문서 {n}\n\n{n}번째 문서의 내용이다.\n", encoding="utf-8")
    with Runtime(settings_in(tmp_path / "data")) as runtime:
        outcomes = runtime.ingest(SCOPE, "인사", [documents])
        next(outcomes)
        outcomes.close()  # type: ignore[attr-defined]
        assert runtime.ingester.due() == []
        again = list(runtime.ingest(SCOPE, "인사", [documents]))
        assert {outcome.document.status for outcome in again} == {DocumentStatus.READY}
        assert runtime.indexer.index.count() == len(list(runtime.vectors.rows())) == 12
