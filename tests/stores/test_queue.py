"""Jobs taken, kept, lost and taken over, on SQLite and PostgreSQL."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmflow.errors import NotFoundError
from llmflow.ingestion.leases import Worker
from llmflow.schema import DocumentStatus, FailureReason, Job, JobStatus, Scope
from llmflow.stores.database import Database
from llmflow.stores.liveness import Liveness
from llmflow.stores.queue import STAGED, Claim, JobQueue, Lease

SCOPE = Scope("acme", ("hr",), user="kim")


@pytest.fixture
def queue(database: Database) -> JobQueue:
    return JobQueue(database.engine)


def submit(database: Database, source: str = "a.md") -> Job:
    return database.submit(
        SCOPE, "hr", source=source, name=source, mime_type="text/plain", size_bytes=1, sha256="a" * 64
    )


def claim(queue: JobQueue, job: Job, worker: str = "host.1", seconds: float = 60, dead: tuple[str, ...] = ()) -> Claim:
    claimed = queue.claim(job.id, Lease(worker, seconds), dead)
    assert claimed is not None
    return claimed


def test_a_job_waits_until_it_is_claimed_by_one(database: Database, queue: JobQueue) -> None:
    job = submit(database)
    assert job.status is JobStatus.QUEUED
    assert database.get(SCOPE, job.document_id).status is DocumentStatus.PENDING
    assert [waiting.id for waiting in queue.due()] == [job.id]
    claimed = claim(queue, job)
    assert (claimed.scope, claimed.job.attempts, claimed.crashes) == (SCOPE, 1, 0)
    assert claimed.document.status is DocumentStatus.PROCESSING
    assert queue.claim(job.id, Lease("host.2", 60)) is None
    assert queue.due() == []
    assert queue.depth() == {JobStatus.QUEUED: 0, JobStatus.RUNNING: 1}


def test_many_that_reach_for_a_job_at_once_get_it_once(database: Database, queue: JobQueue) -> None:
    jobs = [submit(database, f"{number}.md") for number in range(5)]
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda n: [queue.claim(job.id, Lease(f"host.{n}", 60)) for job in jobs], range(8)))
    for number in range(5):
        assert sum(claims[number] is not None for claims in taken) == 1


def test_what_is_not_renewed_is_taken_over_and_its_first_owner_refused(database: Database, queue: JobQueue) -> None:
    job = submit(database)
    slow = claim(queue, job, seconds=0.2)
    queue.renew(Lease("host.1", 0.2), ["another"])
    time.sleep(0.3)
    assert [free.id for free in queue.due()] == [job.id]
    queue.renew(Lease("host.1", 60), [job.id])
    assert queue.due() == []
    queue.renew(Lease("host.1", -1), [job.id])
    later = claim(queue, job, "host.2")
    assert (later.job.attempts, later.crashes) == (2, 1)
    with pytest.raises(NotFoundError):
        database.advance(SCOPE, slow.job, "parse")
    with pytest.raises(NotFoundError):
        database.finish(SCOPE, slow.job, DocumentStatus.READY)
    queue.put_back(slow)
    assert database.job(SCOPE, job.id)[0].status is JobStatus.RUNNING
    assert database.finish(SCOPE, later.job, DocumentStatus.READY).status is DocumentStatus.READY
    assert queue.claim(job.id, Lease("host.3", 60)) is None


def test_what_a_dead_process_held_is_free_at_once(database: Database, queue: JobQueue) -> None:
    job = submit(database)
    claim(queue, job, "host.1")
    assert queue.workers() == {"host.1"}
    assert queue.due(["host.2"]) == []
    assert [free.id for free in queue.due(["host.1"])] == [job.id]
    assert claim(queue, job, "host.2", dead=("host.1",)).crashes == 1


def test_a_job_put_back_is_no_crash_and_keeps_its_stage(database: Database, queue: JobQueue) -> None:
    job = submit(database)
    queue.put_back(claim(queue, job), STAGED)
    assert [(waiting.stage, waiting.status) for waiting in queue.due()] == [(STAGED, JobStatus.QUEUED)]
    assert claim(queue, job, "host.2").crashes == 0


def test_a_later_upload_supersedes_what_waits(database: Database, queue: JobQueue) -> None:
    first, second = submit(database), submit(database)
    assert queue.claim(first.id, Lease("host.1", 60)) is None
    done = claim(queue, second)
    document = database.finish(SCOPE, done.job, DocumentStatus.EMPTY, reason=FailureReason.EMPTY)
    assert [job.status for job in database.jobs(SCOPE, document.id)] == [JobStatus.FAILED, JobStatus.FAILED]


def test_what_a_killed_process_had_under_work_is_removed_by_the_next(database: Database, tmp_path: Path) -> None:
    program = (
        "import sys, os, signal; from pathlib import Path\n"
        "from llmflow.ingestion.leases import Worker; from llmflow.stores.database import Database\n"
        "from llmflow.stores.queue import JobQueue\n"
        "worker = Worker(JobQueue(Database(f'sqlite:///{sys.argv[1]}/w.db').engine), Path(sys.argv[1]), 60)\n"
        "held = worker.scratch(); Path(held.__enter__(), 'original').write_text('900101-1234567')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == -9
    assert len(list(tmp_path.rglob("original"))) == 1
    Worker(JobQueue(database.engine), tmp_path, 60).close()
    assert list(tmp_path.rglob("original")) == []


def test_a_killed_process_is_known_to_be_dead_and_a_living_one_alive(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from llmflow.stores.liveness import Liveness\n"
        "alive = Liveness(Path(sys.argv[1])); print(alive.worker, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    other = process.stdout.readline().strip()
    here = Liveness(tmp_path)
    assert here.dead([other, here.worker, "elsewhere.1.2.3"]) == frozenset()
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    assert here.dead([other, here.worker, "elsewhere.1.2.3"]) == {other}
    assert here.dead([other]) == {other}
    here.close()
