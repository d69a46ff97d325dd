"""Webhooks on their way to a real receiver, which verifies them as their specification says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from llmflow.schema import DocumentStatus, FailureReason, Job, Scope
from llmflow.settings import FetchSettings
from llmflow.stores.database import Database
from llmflow.stores.queue import JobQueue, Lease
from llmflow.stores.tables import WebhookRow
from llmflow.stores.webhooks import WebhookStore
from llmflow.worker.webhooks import WebhookSender, sign

SCOPE = Scope("회사", ("인사",))
ANY = FetchSettings(private_hosts=("127.0.0.1",))


class Receiver:
    """Takes webhooks; ``answers`` are the statuses of the next calls, 200 when there are no more."""

    def __init__(self) -> None:
        receiver = self
        self.answers: list[int] = []
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.pause_s = 0.0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.calls.append(({name.lower(): value for name, value in self.headers.items()}, body))
                time.sleep(receiver.pause_s)
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def verified(self, secret: str) -> list[dict[str, object]]:
        """The bodies, each signed as Standard Webhooks wants it, not more than a minute ago."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        for headers, body in self.calls:
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
            assert headers["webhook-signature"] == f"v1,{expected}"
            assert abs(time.time() - int(headers["webhook-timestamp"])) < 60
            assert headers["content-type"] == "application/json"
        return [json.loads(body) for _, body in self.calls]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'llmflow.db'}")
    yield database
    database.close()


def submitted(database: Database, url: str, source: str = "휴가.md") -> Job:
    return database.submit(
        SCOPE, "인사", source=source, name=source, mime_type="text/plain", size_bytes=1, sha256="a", webhook_url=url
    )


def ended(database: Database, url: str, source: str = "휴가.md", status: DocumentStatus = DocumentStatus.READY) -> Job:
    """A job with a webhook that has just ended."""
    job = submitted(database, url, source)
    claim = JobQueue(database.engine).claim(job.id, Lease("host.1", 60))
    assert claim is not None
    reason = None if status is DocumentStatus.READY else FailureReason.EMPTY
    database.finish(SCOPE, claim.job, status, chunks_count=3, reason=reason)
    return job


def row(database: Database) -> WebhookRow:
    with Session(database.engine) as session:
        return session.scalars(select(WebhookRow)).one()


def make_due(database: Database) -> None:
    with Session(database.engine) as session, session.begin():
        session.execute(update(WebhookRow).where(WebhookRow.due_at.is_not(None)).values(due_at=datetime.now(UTC)))


def pause_s(database: Database) -> float:
    due_at = row(database).due_at
    assert due_at is not None
    return (due_at - datetime.now(UTC)).total_seconds()


def test_the_end_of_a_job_is_told_once_and_signed(database: Database, receiver: Receiver) -> None:
    sender = WebhookSender(database.engine, ANY)
    submitted(database, receiver.url)
    assert sender.deliver_due() == 0
    job = ended(database, receiver.url)  # which supersedes the first
    assert sender.deliver_due() == 2
    assert sender.deliver_due() == 0
    bodies = receiver.verified(WebhookStore(database.engine).secret("회사"))
    assert sorted(str(body["type"]) for body in bodies) == ["job.done", "job.failed"]
    done = next(body for body in bodies if body["type"] == "job.done")
    data = done["data"]
    assert isinstance(data, dict)
    assert (data["job_id"], data["document_id"], data["document_name"]) == (job.id, job.document_id, "휴가.md")
    assert (data["status"], data["document_status"], data["chunks_count"]) == ("done", "ready", 3)


def test_what_fails_twice_arrives_at_the_third_attempt(database: Database, receiver: Receiver) -> None:
    sender = WebhookSender(database.engine, ANY)
    receiver.answers = [500, 302]
    ended(database, receiver.url, status=DocumentStatus.EMPTY)
    assert sender.deliver_due() == 0
    assert 3 < pause_s(database) <= 5
    assert row(database).error == "the receiver answers with status 500"
    assert sender.deliver_due() == 0  # not due yet
    assert len(receiver.calls) == 1
    make_due(database)
    assert sender.deliver_due() == 0
    assert 28 < pause_s(database) <= 30
    make_due(database)
    assert sender.deliver_due() == 1
    assert (row(database).due_at, row(database).error, row(database).attempts) == (None, None, 3)
    receiver.verified(WebhookStore(database.engine).secret("회사"))
    assert len({headers["webhook-id"] for headers, _ in receiver.calls}) == 1
    assert len({body for _, body in receiver.calls}) == 1


def test_after_the_last_attempt_it_is_given_up(
    database: Database, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    sender = WebhookSender(database.engine, ANY.model_copy(update={"webhook_attempts": 2}))
    receiver.answers = [500, 503]
    ended(database, f"{receiver.url}?token=secret")
    for _ in range(3):
        with caplog.at_level(logging.WARNING):
            assert sender.deliver_due() == 0
        make_due(database)
    assert len(receiver.calls) == 2
    assert (row(database).due_at, row(database).error) == (None, "the receiver answers with status 503")
    assert f"to {receiver.url} given up after 2 attempts" in caplog.text
    assert "secret" not in caplog.text


def test_a_receiver_that_is_gone_is_called_no_more(database: Database, receiver: Receiver) -> None:
    receiver.answers = [410]
    ended(database, receiver.url)
    assert WebhookSender(database.engine, ANY).deliver_due() == 0
    assert row(database).due_at is None


@pytest.mark.parametrize(
    ("url", "problem"), [("http://127.0.0.1:9/", "not at a public address"), ("http://none.invalid/", "none.invalid")]
)
def test_what_cannot_be_called_is_kept_with_its_error(database: Database, url: str, problem: str) -> None:
    ended(database, url)
    assert WebhookSender(database.engine, FetchSettings()).deliver_due() == 0
    assert problem in (row(database).error or "")
    assert pause_s(database) <= 5


def test_one_slow_receiver_does_not_keep_the_others(database: Database, receiver: Receiver) -> None:
    receiver.pause_s = 0.3
    for number in range(8):
        ended(database, receiver.url, f"{number}.md")
    start = time.monotonic()
    assert WebhookSender(database.engine, ANY).deliver_due() == 8
    assert time.monotonic() - start < 8 * 0.3


def test_what_a_dead_process_had_taken_is_sent_again(database: Database, receiver: Receiver) -> None:
    ended(database, receiver.url)
    store = WebhookStore(database.engine)
    [taken] = store.claim(10, timedelta(seconds=0.2))
    assert store.claim(10, timedelta(seconds=60)) == []
    time.sleep(0.3)
    assert WebhookSender(database.engine, ANY).deliver_due() == 1
    store.failed(taken, "it comes back to life", timedelta(0))  # too late to be heard
    assert (row(database).due_at, row(database).error) == (None, None)


PROCESS = """
import sys
from llmflow.settings import FetchSettings
from llmflow.stores.engine import open_engine
from llmflow.worker.webhooks import WebhookSender

sender = WebhookSender(open_engine(sys.argv[1]), FetchSettings(private_hosts=("127.0.0.1",)))
print("ready", flush=True)
sys.stdin.readline()
sent = idle = 0
while idle < 3:
    found = sender.deliver_due()
    sent, idle = sent + found, 0 if found else idle + 1
print(sent)
"""


def test_two_processes_send_each_once(database: Database, receiver: Receiver) -> None:
    for number in range(60):
        ended(database, receiver.url, f"{number}.md")
    url = database.engine.url.render_as_string(hide_password=False)
    processes = [
        subprocess.Popen([sys.executable, "-c", PROCESS, url], stdin=-1, stdout=-1, text=True) for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    sent = [int(process.communicate("\n", timeout=60)[0]) for process in processes]
    assert sum(sent) == 60
    assert set(Counter(headers["webhook-id"] for headers, _ in receiver.calls).values()) == {1}
    receiver.verified(WebhookStore(database.engine).secret("회사"))


def test_each_tenant_has_one_secret(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        secrets = list(pool.map(lambda _: WebhookStore(database.engine).secret("회사"), range(8)))
    assert len(set(secrets)) == 1
    assert len(base64.b64decode(secrets[0].removeprefix("whsec_"))) == 32
    assert WebhookStore(database.engine).secret("다른 회사") != secrets[0]


def test_old_ones_are_forgotten_when_they_have_ended(database: Database, receiver: Receiver) -> None:
    ended(database, receiver.url, "old.md")
    ended(database, "http://127.0.0.1:9/", "retried.md")
    submitted(database, receiver.url, "waiting.md")
    WebhookSender(database.engine, ANY).deliver_due()
    with Session(database.engine) as session, session.begin():
        session.execute(update(WebhookRow).values(created_at=datetime.now(UTC) - timedelta(days=8)))
    ended(database, receiver.url, "new.md")
    WebhookSender(database.engine, ANY).deliver_due()
    with Session(database.engine) as session:
        assert len(session.scalars(select(WebhookRow)).all()) == 3  # all but the old one


def test_the_signature_is_that_of_the_specification() -> None:
    signature = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
