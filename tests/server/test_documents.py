"""Documents in and out over HTTP: through the real application, its queue and its stores."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from llmflow.runtime import Runtime
from llmflow.schema import Role
from llmflow.server.app import create_app
from llmflow.settings import Settings

PHONE = "010-2345-6789"
MARKDOWN = f"# 휴가규정\n\n## 제4조\n\n연차휴가는 17일이다. 담당자 전화번호는 {PHONE}이다.\n"
UNKNOWN = "f" * 32

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """A site with one document."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path.startswith("/handbook")
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/markdown; charset=utf-8")
            self.end_headers()
            self.wfile.write("# 안내서\n\n출장비는 하루 5만원이다.\n".encode() if found else b"")

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory, web: str) -> Iterator[Runtime]:
    settings = Settings.model_validate({
        "data_dir": tmp_path_factory.mktemp("documents") / "data",
        "parsing": {"ocr": "off"},
        "embedder": {"provider": "none"},
        "fetch": {"private_hosts": [web.removeprefix("http://")]},
        "auth": {"requests_per_minute": 1_000_000, "burst": 1_000_000},
    })  # fmt: skip
    with Runtime(settings) as runtime:
        yield runtime


@pytest.fixture(scope="module")
def call(runtime: Runtime) -> Iterator[Call]:
    """``call(method, path, role=..., tenant=..., departments=...)``, with a key made for it."""
    keys: dict[Any, str] = {}
    with TestClient(create_app(runtime)) as client:

        def send(
            method: str,
            path: str,
            role: str = "editor",
            tenant: str = "회사",
            departments: tuple[str, ...] = ("인사", "보안"),
            headers: dict[str, str] | None = None,
            **request: Any,
        ) -> Any:
            who = (role, tenant, departments)
            if who not in keys:
                keys[who] = runtime.keys.create(tenant, departments, Role(role))[0]
            sent = {"Authorization": f"Bearer {keys[who]}", **(headers or {})}
            return client.request(method, path, headers=sent, **request)

        yield send


def file(name: str, text: str = MARKDOWN) -> tuple[str, tuple[str, bytes, str]]:
    return "files", (name, text.encode(), "application/octet-stream")


def ended(call: Call, job_id: str) -> dict[str, Any]:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        job: dict[str, Any] = call("GET", f"/v1/jobs/{job_id}", role="reader").json()
        if job["status"] in ("done", "failed"):
            return job
        time.sleep(0.05)
    raise AssertionError("the job does not end")


def added(call: Call, name: str, text: str = MARKDOWN, **data: str) -> dict[str, Any]:
    """A document that was uploaded and is ready."""
    response = call("POST", "/v1/documents", files=[file(name, text)], data=data)
    assert response.status_code == 202, response.text
    job = ended(call, response.json()["jobs"][0]["id"])
    assert job["status"] == "done", job
    document: dict[str, Any] = job["document"]
    return document


def test_files_are_taken_in_and_ready_when_their_jobs_are_done(call: Call) -> None:
    metadata = {"year": 2026, "reviewed": True, "author": "김", "note": None}
    response = call(
        "POST",
        "/v1/documents",
        files=[file("휴가.md"), file("빈.md", "")],
        data={"department": "보안", "dataset_id": "rules", "metadata": json.dumps(metadata)},
    )
    assert response.status_code == 202, response.text
    body = response.json()
    assert [document["name"] for document in body["documents"]] == ["휴가.md", "빈.md"]
    assert [job["document_id"] for job in body["jobs"]] == [document["id"] for document in body["documents"]]
    good, empty = (ended(call, job["id"]) for job in body["jobs"])
    assert (good["status"], good["stage"], good["document"]["status"]) == ("done", "graph", "ready")
    assert (empty["status"], empty["document"]["reason"]) == ("failed", "empty")
    document = good["document"]
    assert (document["department"], document["dataset_id"]) == ("보안", "rules")
    assert (document["metadata"], document["source"]) == (metadata, "upload://보안/휴가.md")
    assert document["created_by"].startswith("key:")
    shown = call("GET", f"/v1/documents/{document['id']}", role="reader").json()
    assert (shown["document"], [job["id"] for job in shown["jobs"]]) == (document, [good["id"]])


def test_the_same_file_again_changes_nothing_and_another_text_replaces_it(call: Call) -> None:
    first = added(call, "again.md")
    again = call("POST", "/v1/documents", files=[file("again.md")]).json()
    assert (again["jobs"][0]["status"], again["documents"][0]["id"]) == ("done", first["id"])
    changed = added(call, "again.md", "# 새 규정\n\n연차휴가는 20일이다.\n")
    assert changed["id"] == first["id"]
    chunks = call("GET", f"/v1/documents/{first['id']}/chunks", role="reader").json()["chunks"]
    assert "20일" in chunks[0]["text"]
    assert "17일" not in chunks[0]["text"]


def test_urls_are_downloaded(call: Call, web: str) -> None:
    urls = [f"{web}/handbook?token=abc", f"{web}/missing.pdf"]
    response = call("POST", "/v1/documents", json={"urls": urls, "metadata": {"kind": "web"}})
    assert response.status_code == 202, response.text
    good, missing = (ended(call, job["id"]) for job in response.json()["jobs"])
    assert (good["status"], good["document"]["name"], good["document"]["source"]) == ("done", "handbook.md", urls[0])
    assert good["document"]["metadata"] == {"kind": "web"}
    assert missing["status"] == "failed"
    assert f"{web}/missing.pdf: the server answers with status 404" in missing["error"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/규정.md", "규정.md"),
        ("C:\\users\\kim\\a.md", "a.md"),
        ("invoice\u202eexe.md", "invoiceexe.md"),
        ("a\x07b.md", "ab.md"),
        ("휴가.md", "휴가.md"),
    ],
)
def test_file_names_lose_their_path_and_what_cannot_be_seen(call: Call, name: str, kept: str) -> None:
    # Written by hand: clients encode such names.
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="'
        + name.replace("\\", "\\\\").encode()
        + b'"\r\n\r\n# A\r\n\r\ntext\r\n--x--\r\n'
    )
    response = call("POST", "/v1/documents", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert response.status_code == 202, response.text
    document = response.json()["documents"][0]
    assert (document["name"], document["source"]) == (kept, f"upload://인사/{kept}")


@pytest.mark.parametrize(
    ("request_", "status", "param"),
    [
        ({"files": [file("a.md")], "data": {"department": "재무"}}, 403, "department"),
        ({"files": [file("a.md")], "data": {"metadata": "{"}}, 422, "metadata"),
        ({"files": [file("a.md")], "data": {"metadata": '{"a": [1]}'}}, 422, "metadata.a.constrained-str"),
        ({"files": [file("a.md")], "data": {"metadata": '{"a": NaN}'}}, 422, None),
        ({"files": [file("a.md")], "data": {"metadata": json.dumps({f"k{n}": n for n in range(51)})}}, 422, "metadata"),
        ({"files": [file("a.md")], "data": {"dataset_id": "x" * 65}}, 422, "dataset_id"),
        ({"files": [file("a.md")], "data": {"tenant": "other"}}, 422, "tenant"),
        ({"files": [file("a.md")], "data": {"webhook_url": "http://169.254.169.254/"}}, 422, "webhook_url"),
        ({"files": [file("a.md"), file("x/a.md")]}, 422, "files"),
        ({"files": [file("..")]}, 422, "files"),
        ({"files": [("other", ("a.md", b"a"))]}, 422, "other"),
        ({"data": {"department": "인사"}}, 422, "content-type"),
        ({"json": {"urls": []}}, 422, "urls"),
        ({"json": {"urls": ["file:///etc/passwd"]}}, 422, "url"),
        ({"json": {"urls": ["http://localhost/a"]}}, 422, "url"),
        ({"json": {"urls": ["http://10.0.0.1/a"]}}, 422, "url"),
        ({"json": {"urls": ["https://user:pw@example.com/a"]}}, 422, "url"),
        ({"json": {"urls": ["https://example.com/a"], "department": "재무"}}, 403, "department"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 422, None),
        ({"content": b'{"urls": ["\\ud800"]}', "headers": {"Content-Type": "application/json"}}, 422, None),
        ({"content": b"[" * 5000, "headers": {"Content-Type": "application/json"}}, 422, None),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 422, None),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_taken_in(
    call: Call, request_: dict[str, Any], status: int, param: str | None
) -> None:
    before = call("GET", "/v1/documents").json()["total"]
    response = call("POST", "/v1/documents", **request_)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    if param:
        assert error["param"] == param, error
    assert call("GET", "/v1/documents").json()["total"] == before


def test_documents_are_listed_by_status_name_and_data_set(call: Call) -> None:
    who = {"tenant": "목록", "departments": ("a",)}
    for name, dataset in (("Rules 2025.md", "old"), ("rules 2026.md", "new"), ("50%.md", "new")):
        assert call("POST", "/v1/documents", files=[file(name)], data={"dataset_id": dataset}, **who).is_success

    def names(query: str) -> list[str]:
        page = call("GET", f"/v1/documents{query}", **who).json()
        assert page["total"] >= len(page["documents"])
        return sorted(document["name"] for document in page["documents"])

    assert names("") == ["50%.md", "Rules 2025.md", "rules 2026.md"]
    assert names("?name=rules") == ["Rules 2025.md", "rules 2026.md"]
    assert names("?name=%25") == ["50%.md"]
    assert names("?dataset_id=new&name=RULES") == ["rules 2026.md"]
    assert names("?status=refused") == []
    assert len(names("?limit=2")) == 2
    assert call("GET", "/v1/documents?status=odd", **who).status_code == 422
    assert call("GET", "/v1/documents?limit=0", **who).status_code == 422


def test_chunks_come_masked_in_order_and_by_the_page(call: Call) -> None:
    text = "# 규정\n\n" + "\n\n".join(f"## 제{n}조\n\n{n}번째 조항이다. 전화 {PHONE}." for n in range(1, 6))
    document = added(call, "chunks.md", text)
    path = f"/v1/documents/{document['id']}/chunks"
    whole = call("GET", path, role="reader").json()
    assert whole["total"] == len(whole["chunks"]) == document["chunks_count"] > 2
    assert [chunk["ordinal"] for chunk in whole["chunks"]] == sorted(chunk["ordinal"] for chunk in whole["chunks"])
    assert PHONE not in json.dumps(whole, ensure_ascii=False)
    part = call("GET", f"{path}?from=1&limit=1", role="reader").json()
    assert (part["chunks"], part["total"]) == (whole["chunks"][1:2], whole["total"])


def test_the_original_is_for_editors_and_comes_as_a_file_only(call: Call) -> None:
    document = added(call, "원본 <b>.md")
    path = f"/v1/documents/{document['id']}/original"
    assert call("GET", path, role="reader").status_code == 403
    for role in ("editor", "administrator"):
        response = call("GET", path, role=role)
        assert response.content == MARKDOWN.encode()
        assert response.headers["content-disposition"] == (
            "attachment; filename*=UTF-8''%EC%9B%90%EB%B3%B8%20%3Cb%3E.md"
        )
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-type"] == "application/octet-stream"


def test_a_deleted_document_is_gone(call: Call) -> None:
    document = added(call, "gone.md")
    path = f"/v1/documents/{document['id']}"
    assert call("DELETE", path, role="reader").status_code == 403
    assert call("DELETE", path).json()["document"]["id"] == document["id"]
    for method, each in (("GET", path), ("GET", f"{path}/chunks"), ("GET", f"{path}/original"), ("DELETE", path)):
        assert call(method, each).status_code == 404


def test_a_foreign_id_and_the_start_of_an_id_are_as_unknown_as_any_other(call: Call) -> None:
    document = added(call, "mine.md", department="인사")
    job = call("GET", f"/v1/documents/{document['id']}").json()["jobs"][0]
    others: list[dict[str, Any]] = [{"tenant": "다른 회사"}, {"departments": ("보안",)}]
    for id_, routes in (
        (document["id"], ("/v1/documents/{}", "/v1/documents/{}/chunks", "/v1/documents/{}/original")),
        (job["id"], ("/v1/jobs/{}",)),
    ):
        for route in routes:
            for other in others:
                seen = call("GET", route.format(id_), **other)
                absent = call("GET", route.format(UNKNOWN), **other)
                assert seen.status_code == absent.status_code == 404
                assert seen.json()["error"]["message"].replace(id_, UNKNOWN) == absent.json()["error"]["message"]
            for part in (id_[:8], id_.upper() if id_.upper() != id_ else id_[:-1], id_ + "0", "%00", "' OR 1"):
                assert call("GET", route.format(part)).status_code == 404, part
    for other in others:
        assert call("DELETE", f"/v1/documents/{document['id']}", **other).status_code == 404
    assert call("GET", f"/v1/documents/{document['id']}").status_code == 200


def test_a_job_is_followed_to_its_end(call: Call) -> None:
    job = call("POST", "/v1/documents", files=[file("followed.md")]).json()["jobs"][0]
    response = call("GET", f"/v1/jobs/{job['id']}", role="reader", headers={"Accept": "text/event-stream"})
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = response.text.replace("\r\n", "\n").strip().split("\n\n")
    events = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]
    assert [event["event"] for event in events[:-1]] == ["progress"] * (len(events) - 1)
    assert events[-1]["event"] == "end"
    jobs = [json.loads(event["data"]) for event in events[:-1]]
    assert (jobs[-1]["status"], jobs[-1]["stage"], jobs[-1]["document"]["status"]) == ("done", "graph", "ready")
    assert len({(job["status"], job["stage"]) for job in jobs}) == len(jobs)


def test_large_files_go_through_the_disk(call: Call, runtime: Runtime, tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    path.write_text("연차휴가는 십칠 일이다.\n" * 200_000, encoding="utf-8")  # 7 MB
    with path.open("rb") as stream:
        response = call("POST", "/v1/documents", files={"files": ("large.txt", stream)}, departments=("대용량",))
    assert response.status_code == 202, response.text
    document = response.json()["documents"][0]
    assert document["size_bytes"] == path.stat().st_size
    assert call("DELETE", f"/v1/documents/{document['id']}", departments=("대용량",)).status_code == 200
