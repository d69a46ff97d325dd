"""`llmflow worker` processes beside the process that owns the vector store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from llmflow.ingestion.intake import Upload
from llmflow.runtime import Runtime
from llmflow.schema import DocumentStatus, JobStatus, Scope
from llmflow.settings import Settings
from llmflow.worker.runner import JobRunner

SCOPE = Scope("회사", ("인사",), user="kim")
FILES = 24


@pytest.fixture(params=["embedded", "servers"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    values: dict[str, object] = {
        "data_dir": str(tmp_path / "data"),
        "pii": {"enabled": False},
        "parsing": {"ocr": "off"},
        "tracing": {"enabled": False},
        "jobs": {"in_server": False},
    }
    if request.param == "servers":
        database, keyvalue = (request.getfixturevalue(name) for name in ("postgresql_url", "redis_url"))
        values |= {"database": {"url": database}, "keyvalue": {"url": keyvalue}}
    return Settings.model_validate(values)


@contextmanager
def worker(settings: Settings, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    config = cwd / "worker.yaml"
    config.write_text(settings.model_dump_json(exclude_unset=True), encoding="utf-8")  # JSON is YAML
    process = subprocess.Popen(
        [sys.executable, "-m", "llmflow.cli.main", "worker"],
        env={**os.environ, "LLMFLOW_CONFIG": str(config)},
        cwd=cwd,
        stderr=(cwd / "worker.log").open("ab"),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def submit(runtime: Runtime, folder: Path, count: int) -> list[str]:
    folder.mkdir()
    ids = []
    for number in range(count):
        path = folder / f"{number:02}.md"
        path.write_text(f"# {number}동\n\n기숙사 {number}동의 통금은 {number}시이다.\n", encoding="utf-8")
        job = runtime.intake.submit(SCOPE, "인사", Upload(f"upload://인사/{path.name}", path.name), path)
        ids.append(job.document_id)
    return ids


def wait(runtime: Runtime, ids: list[str], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while {runtime.database.get(SCOPE, id_).status for id_ in ids} != {DocumentStatus.READY}:
        assert time.monotonic() < deadline, [runtime.database.jobs(SCOPE, id_)[0] for id_ in ids][:5]
        time.sleep(0.2)


def test_workers_prepare_the_owner_stores_and_a_killed_one_loses_nothing(settings: Settings, tmp_path: Path) -> None:
    with Runtime(settings) as runtime, ExitStack() as stack:
        runner = JobRunner(runtime, owner=True, ingest=False)
        runner.start()
        stack.callback(runner.stop, 10)
        ids = submit(runtime, tmp_path / "documents", FILES)
        time.sleep(4)
        assert all(runtime.database.get(SCOPE, id_).status is DocumentStatus.PENDING for id_ in ids)
        victim = stack.enter_context(worker(settings, tmp_path))
        stack.enter_context(worker(settings, tmp_path))
        deadline = time.monotonic() + 60
        while runtime.queue.depth()[JobStatus.RUNNING] == 0:
            assert time.monotonic() < deadline, (tmp_path / "worker.log").read_text()
            time.sleep(0.01)
        victim.send_signal(signal.SIGKILL)
        wait(runtime, ids)
        rows = list(runtime.vectors.rows())
        assert len(rows) == FILES
        assert {row.chunk.document_id for row in rows} == set(ids)
        (hit, *_) = runtime.search(SCOPE, "기숙사 7동의 통금").candidates
        assert hit.chunk.document_name == "07.md"
        for id_ in ids:
            (job,) = runtime.database.jobs(SCOPE, id_)
            assert (job.status, job.stage) == (JobStatus.DONE, "graph")
            assert job.attempts >= 2, "a worker prepared it, the owner stored it"
        kept = [key for key in runtime.objects.keys(SCOPE) if key.startswith("staged/")]
        assert kept == []


def test_a_document_no_worker_can_read_fails_in_the_owner_and_is_no_longer_found(
    settings: Settings, tmp_path: Path
) -> None:
    with Runtime(settings) as runtime, ExitStack() as stack:
        runner = JobRunner(runtime, owner=True, ingest=False)
        runner.start()
        stack.callback(runner.stop, 10)
        stack.enter_context(worker(settings, tmp_path))
        (id_,) = submit(runtime, tmp_path / "documents", 1)
        wait(runtime, [id_])
        empty = tmp_path / "documents" / "00.md"
        empty.write_text("", encoding="utf-8")
        job = runtime.intake.submit(SCOPE, "인사", Upload("upload://인사/00.md", "00.md"), empty)
        runner.dispatch(job)
        deadline = time.monotonic() + 60
        while runtime.database.job(SCOPE, job.id)[0].status is not JobStatus.FAILED:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert runtime.database.get(SCOPE, id_).status is DocumentStatus.EMPTY
        assert list(runtime.vectors.rows()) == []
