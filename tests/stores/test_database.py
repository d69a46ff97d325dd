from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from llmflow.errors import ConfigurationError, InvalidInputError, NotFoundError, UpstreamError
from llmflow.schema import Document, DocumentStatus, FailureReason, Job, JobStatus, Scope
from llmflow.stores import migrations
from llmflow.stores.database import Database
from llmflow.stores.engine import open_engine
from llmflow.stores.queue import JobQueue, Lease
from llmflow.stores.scoping import document_id
from llmflow.stores.tables import Base

HR = Scope("acme", ("hr",), user="kim")
ALL = Scope("acme", ("hr", "it"))
OTHER_DEPARTMENT = Scope("acme", ("it",))
OTHER_TENANT = Scope("globex", ("hr",))

LEASE = Lease("host.1", 60)


def begin(database: Database, scope: Scope = HR, source: str = "/docs/휴가 규정.pdf", department: str = "hr") -> Job:
    return database.submit(
        scope,
        department,
        source=source,
        name=source.rsplit("/", 1)[-1],
        mime_type="application/pdf",
        size_bytes=5_000_000_000,
        sha256="a" * 64,
        trace_id="f" * 32,
        lease=LEASE,
    )


def unfinished(database: Database) -> int:
    return sum(JobQueue(database.engine).depth().values())


def ready(database: Database, source: str, scope: Scope = HR, department: str = "hr") -> Document:
    return database.finish(scope, begin(database, scope, source, department), DocumentStatus.READY, chunks_count=1)


def test_an_ingestion_from_start_to_ready(database: Database) -> None:
    before = datetime.now(UTC)
    job = begin(database)
    started = database.find(HR, "hr", "/docs/휴가 규정.pdf")
    assert started is not None
    assert (started.status, started.name, started.created_by) == (DocumentStatus.PROCESSING, "휴가 규정.pdf", "kim")
    assert started.size_bytes == 5_000_000_000
    database.advance(HR, job, "parse")
    (running,) = database.jobs(HR, started.id)
    assert (running.status, running.stage, running.trace_id) == (JobStatus.RUNNING, "parse", "f" * 32)

    done = database.finish(
        HR, job, DocumentStatus.READY, chunks_count=12, entities_count=3, warnings=["page 4: picture left out"]
    )
    assert done == database.get(HR, started.id)
    assert (done.status, done.chunks_count, done.entities_count) == (DocumentStatus.READY, 12, 3)
    assert done.warnings == ("page 4: picture left out",)
    assert database.jobs(HR, done.id)[0].status is JobStatus.DONE
    assert done.created_at is not None
    assert done.updated_at is not None
    assert done.created_at.utcoffset() == timedelta(0)
    assert before <= done.created_at < done.updated_at <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (DocumentStatus.EMPTY, FailureReason.EMPTY),
        (DocumentStatus.NEEDS_OCR, FailureReason.NEEDS_OCR),
        (DocumentStatus.REFUSED, FailureReason.ENCRYPTED),
        (DocumentStatus.FAILED, FailureReason.TIMEOUT),
    ],
)
def test_every_other_outcome_is_on_the_document_and_its_job(
    database: Database, status: DocumentStatus, reason: FailureReason
) -> None:
    job = begin(database)
    document = database.finish(HR, job, status, reason=reason, message="암호를 풀고 다시 올리십시오")
    assert (document.status, document.reason, document.message) == (status, reason, "암호를 풀고 다시 올리십시오")
    (ended,) = database.jobs(HR, document.id)
    assert (ended.status, ended.error) == (JobStatus.FAILED, "암호를 풀고 다시 올리십시오")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (DocumentStatus.PROCESSING, None),
        (DocumentStatus.PENDING, FailureReason.INTERNAL),
        (DocumentStatus.READY, FailureReason.EMPTY),
        (DocumentStatus.FAILED, None),
    ],
)
def test_what_is_no_outcome_is_refused_and_changes_nothing(
    database: Database, status: DocumentStatus, reason: FailureReason | None
) -> None:
    job = begin(database)
    with pytest.raises(InvalidInputError, match="no outcome"):
        database.finish(HR, job, status, reason=reason)
    assert database.job(HR, job.id)[0].status is JobStatus.RUNNING


def test_ingesting_anew_keeps_the_document_and_adds_a_job(database: Database) -> None:
    first = ready(database, "/docs/a.md")
    failed = database.finish(
        HR,
        begin(database, source="/docs/a.md"),
        DocumentStatus.FAILED,
        reason=FailureReason.MALFORMED,
        message="broken",
        warnings=["w"],
    )
    job = begin(database, source="/docs/a.md")
    again = database.get(HR, first.id)
    assert (again.id, again.created_at) == (failed.id, first.created_at)
    assert (again.status, again.reason, again.message, again.warnings) == (DocumentStatus.PROCESSING, None, None, ())
    assert [known.status for known in database.jobs(HR, first.id)] == [
        JobStatus.RUNNING,
        JobStatus.FAILED,
        JobStatus.DONE,
    ]
    assert database.jobs(HR, first.id)[0].id == job.id
    assert database.documents(HR).total == 1


def test_an_unfinished_job_gives_way_to_a_later_one(database: Database) -> None:
    old, new = begin(database), begin(database)
    assert unfinished(database) == 1
    assert database.job(HR, old.id)[0].error == "superseded by a later job of the document"
    with pytest.raises(NotFoundError, match="later attempt"):
        database.finish(HR, old, DocumentStatus.READY)
    with pytest.raises(NotFoundError):
        database.advance(HR, old, "parse")
    assert database.finish(HR, new, DocumentStatus.READY).status is DocumentStatus.READY
    assert unfinished(database) == 0


def test_what_lies_outside_the_scope_does_not_exist(database: Database) -> None:
    document = ready(database, "/docs/a.md")
    job = begin(database, source="/docs/b.md")
    for scope in (OTHER_DEPARTMENT, OTHER_TENANT, Scope("acme", ())):
        with pytest.raises(NotFoundError):
            database.get(scope, document.id)
        with pytest.raises(NotFoundError):
            database.delete(scope, document.id)
        with pytest.raises(NotFoundError):
            database.advance(scope, job, "parse")
        with pytest.raises(NotFoundError):
            database.finish(scope, job, DocumentStatus.READY)
        assert database.find(scope, "hr", "/docs/a.md") is None
        assert database.jobs(scope, document.id) == ()
        assert database.documents(scope) == ((), 0)
        assert set(database.counts(scope).values()) == {0}
        with pytest.raises(NotFoundError):
            database.job(scope, job.id)
        assert database.versions(scope, [document.id]) == {}
    assert set(database.versions(HR, [document.id, job.document_id])) == {document.id}
    assert database.get(ALL, document.id) == document


def test_writing_outside_the_scope_is_refused(database: Database) -> None:
    with pytest.raises(InvalidInputError, match="'it' is outside the scope; allowed: hr"):
        begin(database, HR, department="it")
    assert database.documents(ALL).total == 0


def test_the_same_source_in_two_departments_or_tenants_is_two_documents(database: Database) -> None:
    documents = [
        ready(database, "/docs/a.md"),
        ready(database, "/docs/a.md", ALL, "it"),
        ready(database, "/docs/a.md", OTHER_TENANT),
    ]
    assert len({document.id for document in documents}) == 3
    database.delete(HR, documents[0].id)
    assert database.get(ALL, documents[1].id) == documents[1]
    assert database.get(OTHER_TENANT, documents[2].id) == documents[2]


def test_document_ids_are_stable_and_unambiguous() -> None:
    expected = hashlib.sha256("acme\x1fhr\x1f/docs/규정.pdf".encode()).hexdigest()[:32]
    assert document_id("acme", "hr", "/docs/규정.pdf") == expected
    assert document_id("a", "b", "c\x1fd") != document_id("a", "b", "c")
    with pytest.raises(InvalidInputError, match=r"U\+001F"):
        document_id("a", "b\x1fc", "d")


def test_an_id_may_be_shortened_while_it_is_unique(database: Database) -> None:
    documents = [ready(database, f"/docs/{number}.md") for number in range(20)]
    wanted = documents[7]
    assert database.get(HR, wanted.id[:12].upper()) == wanted
    first_digits = [document.id[0] for document in documents]
    shared = next(digit for digit in first_digits if first_digits.count(digit) > 1)
    with pytest.raises(InvalidInputError, match="several documents"):
        database.get(HR, shared)
    for absent in ("", "0" * 32, "%", "_" * 32, "규정", wanted.id + "0", "\udcff"):
        with pytest.raises(NotFoundError, match="llmflow documents"):
            database.get(HR, absent)


def test_listing_pages_filters_and_counts(database: Database) -> None:
    made = [ready(database, f"/docs/{number}.md") for number in range(5)]
    refused = database.finish(
        HR, begin(database, source="/docs/x.pdf"), DocumentStatus.REFUSED, reason=FailureReason.ENCRYPTED
    )
    newest_first = [refused.id, *(document.id for document in reversed(made))]
    pages = [database.documents(HR, limit=4, offset=offset) for offset in (0, 4, 8)]
    assert [document.id for page in pages for document in page.items] == newest_first
    assert [page.total for page in pages] == [6, 6, 6]
    assert database.documents(HR, status=DocumentStatus.REFUSED) == ((refused,), 1)
    counts = database.counts(HR)
    assert (counts[DocumentStatus.READY], counts[DocumentStatus.REFUSED], counts[DocumentStatus.EMPTY]) == (5, 1, 0)
    for limit, offset in ((0, 0), (1, -1)):
        with pytest.raises(InvalidInputError, match="no page"):
            database.documents(HR, limit=limit, offset=offset)


def test_unfinished_documents_of_everybody(database: Database) -> None:
    ready(database, "/docs/ready.md")
    begin(database, source="/docs/unfinished.md")
    assert database.unfinished_ids() == {document_id(HR.tenant, "hr", "/docs/unfinished.md")}


def test_deleting_takes_the_jobs_along(database: Database) -> None:
    document = ready(database, "/docs/a.md")
    running = begin(database, source="/docs/a.md")
    assert database.delete(HR, document.id[:10]).source == "/docs/a.md"
    with database.engine.connect() as connection:
        assert connection.execute(text("select count(*) from jobs")).scalar() == 0
    with pytest.raises(NotFoundError, match="deleted"):
        database.finish(HR, running, DocumentStatus.READY)
    assert database.find(HR, "hr", "/docs/a.md") is None


def test_names_and_messages_no_database_would_take_are_stored(database: Database) -> None:
    source = "/docs/\udcb1\udcd4.txt"
    job = begin(database, source=source)
    message = "bad value 'a\0b\ud800'"
    document = database.finish(
        HR, job, DocumentStatus.FAILED, reason=FailureReason.MALFORMED, message=message, warnings=["\0\ud800"]
    )
    found = database.find(HR, "hr", source)
    assert found == document
    assert document.message is not None
    assert document.message.startswith("bad value 'a\N{REPLACEMENT CHARACTER}b")
    assert "\0" not in document.message + document.warnings[0]


def test_many_threads_write_at_once(database: Database) -> None:
    barrier = threading.Barrier(8)

    def ingest(worker: int) -> None:
        barrier.wait()
        for number in range(5):
            job = begin(database, source=f"/docs/{worker}/{number}")
            database.advance(HR, job, "parse")
            database.documents(HR)
            database.finish(HR, job, DocumentStatus.READY, chunks_count=number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ingest, range(8)))
    assert database.counts(HR)[DocumentStatus.READY] == 40
    assert unfinished(database) == 0


def test_a_reader_is_not_held_up_by_a_writer(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'llmflow.db'}")
    ready(database, "/docs/a.md")
    with database.engine.begin() as writer:
        writer.execute(text("update documents set name = 'changed'"))
        assert database.documents(HR).items[0].name == "a.md"
    assert database.documents(HR).items[0].name == "changed"
    database.close()


def test_migrations_go_both_ways_and_make_the_tables_the_code_expects(database_url: str) -> None:
    database = Database(database_url)
    document = ready(database, "/docs/a.md")
    database.close()

    reopened = Database(database_url)
    assert reopened.get(HR, document.id) == document
    with reopened.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"include_object": lambda _object, name, kind, *_: kind != "table" or name in Base.metadata.tables},
        )
        assert compare_metadata(context, Base.metadata) == []
    migrations.downgrade(reopened.engine, "base")
    with reopened.engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    reopened.close()

    anew = Database(database_url)
    assert anew.documents(HR).total == 0
    anew.close()


def test_a_failed_migration_leaves_nothing_behind(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'llmflow.db'}")
    with engine.begin() as connection:
        connection.execute(text("create table jobs (mine integer)"))
    with pytest.raises(ConfigurationError, match="table jobs already exists"):
        Database(f"sqlite:///{tmp_path / 'llmflow.db'}")
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["jobs"]
    engine.dispose()


def test_several_processes_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    program = f"from llmflow.stores.database import Database; Database('sqlite:///{tmp_path / 'llmflow.db'}')"
    processes = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'llmflow.db'}")
    with database.engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    database.close()
    with pytest.raises(ConfigurationError, match=r"another version of LLMFlow .*9999"):
        Database(f"sqlite:///{tmp_path / 'llmflow.db'}")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("not a url", "allowed are sqlite:///PATH"),
        ("nosuch://x", "allowed are sqlite:///PATH"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_urls_that_cannot_be_used_are_refused(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Database(url)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "llmflow.db"
    path.write_bytes(b"%PDF-1.7 " * 500)
    with pytest.raises(ConfigurationError, match=r"llmflow\.db.*not a database"):
        Database(f"sqlite:///{path}")


def test_a_password_is_not_shown(database: Database) -> None:
    if database.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has no passwords")
    with pytest.raises(UpstreamError) as caught:
        Database("postgresql://nobody:secret@127.0.0.1:9/llmflow")
    assert "secret" not in caught.value.message
