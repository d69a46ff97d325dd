"""Folders, buckets and sites that change between two runs of a collection, on real stores."""

from __future__ import annotations

import io
import logging
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from minio import Minio

from llmflow.errors import ConfigurationError
from llmflow.ingestion.collecting import Collected, Collector, check_collections
from llmflow.runtime import Runtime
from llmflow.schema import DocumentStatus, Job, Scope
from llmflow.settings import CollectionSettings, Settings

HR = Scope("회사", ("인사",))
WHEN: dict[str, Any] = {"cron": "0 3 * * *", "tenant": "회사", "department": "인사"}


class Collecting:
    """A collector over a runtime of its own; the jobs it has dispatched are run after each collection."""

    def __init__(self, folder: Path, **overrides: object) -> None:
        settings = {
            "data_dir": folder,
            "parsing": {"ocr": "off", "max_file_mb": 1},
            "pii": {"enabled": False},
            "embedder": {"provider": "none"},
            "fetch": {"private_hosts": ["127.0.0.1"], "timeout_s": 5},
        }
        self.runtime = Runtime(Settings.model_validate(settings | overrides))
        self.jobs: list[Job] = []

    def __call__(self, name: str = "rules", **what: Any) -> Collected:
        runtime = self.runtime
        settings = CollectionSettings.model_validate({"name": name, **WHEN, **what})
        self.jobs.clear()
        collected = Collector(
            runtime.database, runtime.worker, runtime.intake, runtime.ingester, runtime.settings, self.jobs.append
        ).collect(settings)
        for job in self.jobs:
            runtime.ingester.run(job.id)
        return collected

    def texts(self, scope: Scope = HR) -> dict[str, str]:
        """What readers find of each document that is ready, by source."""
        documents = self.runtime.database.documents(scope, status=DocumentStatus.READY).items
        return {
            document.source: "\n".join(chunk.text for chunk in self.runtime.vectors.chunks_of(scope, document.id))
            for document in documents
        }


@pytest.fixture
def collecting(tmp_path: Path) -> Iterator[Collecting]:
    collecting = Collecting(tmp_path / "data")
    yield collecting
    collecting.runtime.close()


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """A folder with two documents."""
    share = tmp_path / "share"
    (share / "below").mkdir(parents=True)
    (share / "휴가.md").write_text("# 휴가\n\n연차휴가는 17일이다.\n", encoding="utf-8")
    (share / "below" / "출장.md").write_text("# 출장\n\n출장비는 5만원이다.\n", encoding="utf-8")
    (share / ".hidden.md").write_text("# 숨김\n", encoding="utf-8")
    return share


def test_a_folder_new_changed_unchanged_and_gone(collecting: Collecting, share: Path) -> None:
    assert collecting(folder=share) == Collected(new=2)
    leave, trip = share / "휴가.md", share / "below" / "출장.md"
    assert sorted(collecting.texts()) == sorted([str(leave), str(trip)])
    document = collecting.runtime.database.find(HR, "인사", str(leave))
    assert document is not None
    assert (document.name, document.created_by) == ("휴가.md", "collection:rules")
    assert collecting(folder=share) == Collected(unchanged=2)
    assert collecting.jobs == []

    leave.write_text("# 휴가\n\n연차휴가는 20일이다. 더 길다.\n", encoding="utf-8")
    (share / "new.md").write_text("# New\n\nA new rule.\n")
    trip.unlink()
    assert collecting(folder=share) == Collected(new=1, changed=1, removed=1)
    texts = collecting.texts()
    assert sorted(texts) == sorted([str(leave), str(share / "new.md")])
    assert "20일" in texts[str(leave)]
    assert collecting(folder=share) == Collected(unchanged=2)


def test_what_has_size_and_time_of_before_is_not_read(collecting: Collecting, share: Path) -> None:
    collecting(folder=share)
    path = share / "휴가.md"
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"17", b"99"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert collecting(folder=share) == Collected(unchanged=2)
    os.utime(path)
    assert collecting(folder=share) == Collected(changed=1, unchanged=1)
    assert "99일" in collecting.texts()[str(path)]


def test_a_file_that_was_only_touched_makes_no_job(collecting: Collecting, share: Path) -> None:
    collecting(folder=share)
    os.utime(share / "휴가.md")
    assert collecting(folder=share) == Collected(unchanged=2)
    assert collecting.jobs == []


def test_a_document_somebody_deleted_comes_back(collecting: Collecting, share: Path) -> None:
    collecting(folder=share)
    document = collecting.runtime.database.find(HR, "인사", str(share / "휴가.md"))
    assert document is not None
    collecting.runtime.delete(HR, document.id)
    assert collecting(folder=share) == Collected(new=1, unchanged=1)


@pytest.mark.parametrize("happens", ["empty", "absent", "a file"])
def test_a_share_that_is_not_there_deletes_nothing(
    collecting: Collecting, share: Path, happens: str, caplog: pytest.LogCaptureFixture
) -> None:
    collecting(folder=share)
    shutil.rmtree(share)
    if happens == "empty":
        share.mkdir()
    if happens == "a file":
        share.symlink_to(share)
    with caplog.at_level(logging.WARNING):
        collected = collecting(folder=share)
    assert collected == (Collected() if happens == "empty" else Collected(failed=1))
    assert "collection rules" in caplog.text
    assert len(collecting.texts()) == 2


def test_a_folder_that_cannot_be_listed_deletes_nothing(
    collecting: Collecting, share: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collecting(folder=share)
    (share / "휴가.md").unlink()
    real: Callable[..., Any] = os.scandir

    def scandir(path: Any) -> Any:
        if str(path).endswith("below"):  # the tests may run as a user whom no permission stops
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert collecting(folder=share).removed == 0
    monkeypatch.undo()
    assert collecting(folder=share) == Collected(unchanged=1, removed=1)


def test_links_out_of_the_folder_are_left_out(collecting: Collecting, share: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("# Secret\n\nNot for the share.\n")
    (share / "link.md").symlink_to(secret)
    assert collecting(folder=share) == Collected(new=2)


def test_what_is_too_large_fails_and_the_rest_is_collected(collecting: Collecting, share: Path) -> None:
    (share / "large.txt").write_bytes(bytes((1 << 20) + 1))
    assert collecting(folder=share) == Collected(new=2, failed=1)
    assert collecting(folder=share) == Collected(unchanged=2, failed=1)


def test_a_collection_that_moves_takes_its_documents_along(collecting: Collecting, share: Path, tmp_path: Path) -> None:
    collecting(folder=share)
    assert collecting(folder=share, department="총무") == Collected(new=2, removed=2)
    assert collecting.texts() == {}
    assert len(collecting.texts(Scope("회사", ("총무",)))) == 2


def test_collections_do_not_touch_each_others_documents(collecting: Collecting, share: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.md").write_text("# A\n\nText of A.\n")
    collecting(folder=share)
    assert collecting("other", folder=other) == Collected(new=1)
    assert collecting(folder=share) == Collected(unchanged=2)
    assert len(collecting.texts()) == 3


# -- URLs --------------------------------------------------------------------------------------


@pytest.fixture
def site() -> Iterator[Any]:
    """``site.pages`` are (body, headers, status) by path, ``site.seen`` the calls."""

    class Site(ThreadingHTTPServer):
        pages: dict[str, tuple[bytes, dict[str, str], int]] = {}  # noqa: RUF012
        seen: list[str] = []  # noqa: RUF012

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.seen.append(f"{self.command} {self.path}")
            body, headers, status = server.pages[self.path]
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None: ...

    server = Site(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_urls_are_downloaded_when_they_have_changed(
    collecting: Collecting, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmflow.ingestion.fetch._PAUSES_S", ())
    root = f"http://127.0.0.1:{site.server_port}"
    urls = (f"{root}/a", f"{root}/b", f"{root}/down")
    text = {"Content-Type": "text/markdown"}
    site.pages.update({
        "/a": (b"# A\n\nText of A.\n", {**text, "ETag": '"1"'}, 200),
        "/b": (b"# B\n\nText of B.\n", text, 200),
        "/down": (b"", {}, 503),
    })  # fmt: skip
    assert collecting(urls=urls) == Collected(new=2, failed=1)
    assert collecting(urls=urls) == Collected(unchanged=2, failed=1)
    # /a tells by its ETag; /b says nothing, so that it is read.
    assert (site.seen.count("GET /a"), site.seen.count("GET /b")) == (1, 2)
    site.pages["/a"] = (b"# A\n\nAnother text.\n", {**text, "ETag": '"2"'}, 200)
    site.pages["/b"] = (b"", {}, 404)
    assert collecting(urls=urls) == Collected(changed=1, failed=2)
    texts = collecting.texts()
    assert "Another text" in texts[urls[0]]
    assert "Text of B" in texts[urls[1]]  # what is away for a while stays


# -- S3 ----------------------------------------------------------------------------------------


@pytest.fixture
def bucket() -> Iterator[tuple[Minio, str, dict[str, Any]]]:
    given = {name: os.environ.get(f"TEST_S3_{name}", "") for name in ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY")}
    if not all(given.values()):
        pytest.skip("TEST_S3_ENDPOINT, TEST_S3_ACCESS_KEY and TEST_S3_SECRET_KEY name no S3 server")
    client = Minio(given["ENDPOINT"], given["ACCESS_KEY"], given["SECRET_KEY"], secure=False, region="us-east-1")
    name = f"collected-{uuid.uuid4().hex}"
    client.make_bucket(name)
    settings = {key.lower(): value for key, value in given.items()}
    originals = f"originals-{uuid.uuid4().hex}"
    yield client, name, {**settings, "secure": False, "bucket": originals}
    for each in (name, originals):
        if client.bucket_exists(each):
            for found in client.list_objects(each, recursive=True):
                client.remove_object(each, str(found.object_name))
            client.remove_bucket(each)


def test_a_prefix_new_changed_unchanged_and_gone(tmp_path: Path, bucket: tuple[Minio, str, dict[str, Any]]) -> None:
    client, name, settings = bucket

    def put(key: str, text: str) -> None:
        content = text.encode()
        client.put_object(name, key, io.BytesIO(content), len(content))

    put("hr/규정/휴가.md", "# 휴가\n\n연차휴가는 17일이다.\n")
    put("hr/b.md", "# B\n\nText of B.\n")
    put("it/c.md", "# C\n\nText of C.\n")
    what = {"s3_prefix": f"{name}/hr/"}
    collecting = Collecting(tmp_path / "data", objects={"s3": settings})
    try:
        assert collecting(**what) == Collected(new=2)
        assert sorted(collecting.texts()) == [f"s3://{name}/hr/b.md", f"s3://{name}/hr/규정/휴가.md"]
        assert collecting(**what) == Collected(unchanged=2)
        put("hr/b.md", "# B\n\nAnother text.\n")
        client.remove_object(name, "hr/규정/휴가.md")
        assert collecting(**what) == Collected(changed=1, removed=1)
        assert "Another text" in collecting.texts()[f"s3://{name}/hr/b.md"]
        assert collecting(s3_prefix=f"{name}/none/") == Collected()
        assert collecting(s3_prefix="no-such-bucket/hr") == Collected(failed=1)
        assert len(collecting.texts()) == 1
    finally:
        collecting.runtime.close()


# -- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("collections", "param"),
    [
        ([{"folder": "a"}, {"folder": "b"}], "collections.1.name"),
        ([{}], "collections.0"),
        ([{"folder": "a", "urls": ["https://example.com/"]}], "collections.0"),
        ([{"folder": "a", "cron": "0 3 * *"}], "collections.0.cron"),
        ([{"folder": "a", "cron": "61 3 * * *"}], "collections.0.cron"),
        ([{"folder": "a", "cron": "*/0 3 * * *"}], "collections.0.cron"),
        ([{"folder": "a", "cron": "0 3 * * mon"}], "collections.0.cron"),
        ([{"s3_prefix": "documents/hr"}], "collections.0.s3_prefix"),
        ([{"urls": ["https://example.com/", "http://127.0.0.1/"]}], "collections.0.urls"),
        ([{"folder": "/srv"}], "collections.0.folder"),
        ([{"folder": "/srv/llmflow/objects/a"}], "collections.0.folder"),
    ],
)
def test_what_cannot_be_collected_is_told_at_the_start(collections: list[dict[str, Any]], param: str) -> None:
    settings = Settings.model_validate(
        {"data_dir": "/srv/llmflow", "collections": [{"name": "rules", **WHEN, **each} for each in collections]}
    )
    with pytest.raises(ConfigurationError) as caught:
        check_collections(settings)
    assert caught.value.param == param


def test_collections_that_can_be(tmp_path: Path) -> None:
    s3 = {"endpoint": "s3.example.com", "access_key": "a", "secret_key": "b", "bucket": "originals"}
    what: tuple[dict[str, Any], ...] = (
        {"folder": tmp_path / "share"},
        {"s3_prefix": "documents/hr"},
        {"urls": ["https://example.com/"]},
    )
    collections = [{"name": f"c{number}", **WHEN, **each} for number, each in enumerate(what)]
    collections[0]["cron"] = "*/15 8-18 1,15 * 1-5"
    settings = {"data_dir": tmp_path / "data", "objects": {"s3": s3}, "collections": collections}
    check_collections(Settings.model_validate(settings))
    with pytest.raises(ConfigurationError, match="originals"):
        check_collections(Settings.model_validate(settings | {"objects": {"s3": {**s3, "bucket": "documents"}}}))
