"""Documents of a flow, added through the plugin to a real server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from chat_server import Reply
from environments import StartPlugin
from faulty_server import FaultyServer, as_json, page, told
from llmflow_server import LLMFlowServer
from tool_calls import Tools

from dify_plugins.tooling.daemon import Message

NAME = "점심 규정 (최종).md"
CONTENT = "# 점심 규정\n\n점심시간은 12시 30분부터 한 시간이다. 구내식당은 11시에 문을 연다.\n"


@pytest.fixture
def dify() -> Iterator[FaultyServer]:
    """Where Dify keeps the files of flows."""
    with FaultyServer(lambda _: Reply([CONTENT.encode()], 200, {"Content-Type": "text/markdown"})).running() as files:
        yield files


@pytest.fixture
def tools(start_plugin: StartPlugin, server: LLMFlowServer, python: str) -> Iterator[Tools]:
    """The plugin in each environment; what it added is deleted."""
    yield Tools(start_plugin("llmflow", python), server.credentials())
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {server.key()}"}) as client:
        for document in client.get("/v1/documents", params={"limit": 1000}).json()["documents"]:
            if document["created_by"]:  # those of the command line have nobody
                assert client.delete(f"/v1/documents/{document['id']}").status_code == 200


def file_of(url: str, name: str | None = NAME, **others: Any) -> Message:
    """A file as Dify passes it to a plugin."""
    fields = {"filename": name, "mime_type": "text/markdown", "extension": ".md", "size": 100, "type": "document"}
    return {"dify_model_identity": "__dify__file__", "url": url, **fields, **others}


def test_a_file_is_added_and_found(tools: Tools, dify: FaultyServer) -> None:
    given = file_of(f"{dify.url}/files/17/file-preview?sign=x")
    added = tools.run("ingest_document", file=given, department=" 인사 ", wait=True)
    assert dify.asked[-1].path == "/files/17/file-preview?sign=x"
    assert "authorization" not in dify.asked[-1].headers
    assert added.variables == added.json
    assert (added.variables["status"], added.variables["name"]) == ("done", NAME)
    assert added.text == f"'{NAME}' 문서를 추가했습니다. 문단 1개를 검색할 수 있습니다."
    labels = [log["label"] for log in added.logs if log["status"] == "success"]
    assert labels[:2] == ["Dify에서 파일 내려받기", "LLMFlow에 올리기"]
    assert labels[-2:] == ["처리 완료 대기", "문서 추가"]
    assert any("단계까지 완료" in label for label in labels)
    found = tools.run("retrieve", query="구내식당은 몇 시에 문을 여나요?", top_k=1).variables["result"][0]
    assert "11시" in found["content"]
    assert found["metadata"]["document_id"] == added.variables["document_id"]
    status = tools.run("ingestion_status", job_id=added.variables["job_id"])
    expected = {"status": "done", "progress": 100, "document_id": added.variables["document_id"], "chunks": 1}
    assert {key: status.variables[key] for key in expected} == expected
    assert status.variables["error"] == ""
    assert status.text == added.text


def test_without_waiting_there_is_a_job(tools: Tools, dify: FaultyServer) -> None:
    added = tools.run("ingest_document", file=[file_of(dify.url)], wait="")
    assert added.variables["status"] in ("queued", "running")
    assert added.variables["job_id"] in added.text
    status = tools.run("ingestion_status", job_id=f" {added.variables['job_id']}\n").variables
    assert status["status"] in ("queued", "running", "done")
    assert 0 <= status["progress"] <= 100


def test_a_document_that_cannot_be_read_says_why(tools: Tools, dify: FaultyServer) -> None:
    for name, content, words in (
        ("빈 문서.txt", b"", "문서에 내용이 없습니다"),
        ("깨진 문서.pdf", b"%PDF-1.4 nonsense", "파일이 손상되었습니다"),
        ("프로그램.exe", b"MZ" + bytes(range(256)) * 20, "지원하지 않는 형식입니다"),
    ):
        dify.decide = lambda _, content=content: Reply([content], 200, {})
        given = file_of(dify.url, name, mime_type=None, extension=None)
        added = tools.run("ingest_document", file=given, wait=True)
        assert added.variables["status"] == "failed", added
        assert f"'{name}' 문서를 추가하지 못했습니다." in added.text
        assert words in added.text
        status = tools.run("ingestion_status", job_id=added.variables["job_id"]).variables
        assert words in status["error"]
        assert status["status"] == "failed"


def test_a_name_is_found_where_dify_gives_none(tools: Tools, dify: FaultyServer) -> None:
    for url, expected in (
        (f"{dify.url}/files/{quote('메뉴')}?sign=x", "메뉴.md"),
        (f"{dify.url}/files/0197-41ac/file-preview?sign=x", "0197-41ac.md"),
        (f"{dify.url}/", "document.md"),
    ):
        assert tools.run("ingest_document", file=file_of(url, None)).variables["name"] == expected


def test_what_is_no_document(tools: Tools, dify: FaultyServer) -> None:
    given = file_of(dify.url)
    for parameters, words in (
        ({}, "추가할 문서가 없습니다"),
        ({"file": None, "url": " "}, "추가할 문서가 없습니다"),
        ({"file": []}, "추가할 문서가 없습니다"),
        ({"file": given, "url": "https://example.com/a.pdf"}, "하나만"),
        ({"file": [given, given]}, "파일이 2개"),
        ({"file": "휴가규정.pdf"}, "파일 변수를 선택"),
        ({"file": given, "department": "재무"}, "'재무'"),
        ({"url": "http://127.0.0.1/a.pdf"}, "127.0.0.1"),
        ({"url": "휴가규정.pdf"}, "값을 고쳐"),
    ):
        assert words in tools.failure("ingest_document", **parameters), parameters
    reader = tools.with_credentials(api_key="unknown")
    assert "키(api_key)가 올바르지" in reader.failure("ingest_document", file=given)
    for job in ("abc", "0" * 32):
        assert "그런 번호의 작업이 없습니다" in tools.failure("ingestion_status", job_id=job)


def test_a_reader_may_not_add(tools: Tools, server: LLMFlowServer, dify: FaultyServer) -> None:
    reader = tools.with_credentials(api_key=server.key("reader"))
    assert "편집자(editor) 키" in reader.failure("ingest_document", file=file_of(dify.url))
    assert "an editor's key" in reader.with_credentials(language="en").failure("ingest_document", url="https://a.kr/b")


def test_dify_does_not_hand_out_the_file(tools: Tools, dify: FaultyServer) -> None:
    for url in ("/files/17/file-preview", "", "http:///files/17", "http://[::1/x"):
        told = tools.failure("ingest_document", file=file_of(url))
        assert "FILES_URL" in told
        assert f"('{url}')" in told
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = f"127.0.0.1:{gone.getsockname()[1]}"
    told = tools.failure("ingest_document", file=file_of(f"http://{nobody}/files/17"))
    assert nobody in told
    assert "FILES_URL" in told
    dify.decide = lambda _: page(403)
    assert "HTTP 403" in tools.failure("ingest_document", file=file_of(dify.url))
    dify.decide = lambda _: Reply([b"x"] * 100, 200, {}, pause_s=0.1)
    hasty = tools.with_credentials(timeout_s="1")
    assert "제한 시간 1초 안에 내려받지" in hasty.failure("ingest_document", file=file_of(dify.url))


def test_a_file_that_moved_is_followed(tools: Tools, dify: FaultyServer) -> None:
    content = dify.decide
    dify.decide = lambda asked: content(asked) if asked.path == "/moved" else page(302, Location="/moved")
    assert tools.run("ingest_document", file=file_of(f"{dify.url}/files/17")).variables["name"] == NAME


def test_a_file_is_not_fetched_from_elsewhere_nor_without_end(tools: Tools, dify: FaultyServer) -> None:
    elsewhere = f"{dify.url.replace('127.0.0.1', 'localhost')}/files/17"
    dify.decide = lambda _: page(302, Location=elsewhere)
    assert "다른 서버(localhost)" in tools.failure("ingest_document", file=file_of(f"{dify.url}/files/17"))
    assert len(dify.asked) == 1
    dify.decide = lambda _: Reply([bytes(1_000_000)] * 201, 200, {})
    assert "200MB를 넘습니다" in tools.failure("ingest_document", file=file_of(dify.url))


def test_the_file_arrives_whole(tools: Tools, dify: FaultyServer) -> None:
    large = bytes(range(256)) * 40_000
    dify.decide = lambda _: Reply([large], 200, {})
    with FaultyServer(lambda _: told(413, "too_large", "at most 512 MiB")).running() as llmflow:
        told_so = tools.with_credentials(base_url=llmflow.url).failure("ingest_document", file=file_of(dify.url))
    assert "at most 512 MiB" in told_so
    (asked,) = llmflow.asked
    assert large in asked.body
    assert f'filename="{NAME}"'.encode() in asked.body
    assert b"Content-Type: text/markdown" in asked.body
    assert int(asked.headers["content-length"]) == len(asked.body)


def test_waiting_ends_in_time_and_with_the_server(tools: Tools, dify: FaultyServer) -> None:
    job = {"id": "1" * 32, "document_id": "2" * 32, "status": "running", "stage": "parse", "error": None}
    document = {"id": "2" * 32, "name": NAME, "chunks_count": 0, "reason": None, "message": None}
    with FaultyServer(lambda _: page()).running() as llmflow:
        hasty = tools.with_credentials(base_url=llmflow.url, timeout_s="3")

        def working(asked: Any) -> Reply:
            taken = {"jobs": [{**job, "status": "queued", "stage": None}], "documents": [document]}
            return as_json(taken, 202) if asked.method == "POST" else as_json({**job, "document": document})

        llmflow.decide = working
        waited = hasty.run("ingest_document", file=file_of(dify.url), wait=True)
        assert waited.variables["status"] == "running"
        assert waited.variables["job_id"] in waited.text
        assert "(30%)" in waited.text
        llmflow.decide = lambda asked: working(asked) if asked.method == "POST" else told(503, "upstream", "away")
        given_up = hasty.run("ingest_document", file=file_of(dify.url), wait=True)
        assert given_up.variables["status"] == "queued"
        assert given_up.variables["job_id"] in given_up.text
        assert "지금은 처리할 수 없습니다" in given_up.text
