"""What every request passes: ids, headers, limits, and the one form of errors."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from served import MakeKey, serving

from llmflow.runtime import Runtime
from llmflow.schema import Role
from llmflow.server.app import create_app
from llmflow.settings import Settings

ASK = {"query": "재택근무는 국외에서 가능한가요?"}


def error_of(response: httpx.Response) -> dict[str, Any]:
    body = response.json()
    assert set(body) == {"error", "request_id"}
    assert set(body["error"]) == {"code", "message", "type", "param", "details"}
    assert body["request_id"] == response.headers["X-Request-ID"]
    error: dict[str, Any] = body["error"]
    return error


# Ids and headers


def test_a_request_id_is_kept_or_made(client: httpx.Client) -> None:
    assert client.get("/v1/me", headers={"X-Request-ID": "abc-1.2_3"}).headers["X-Request-ID"] == "abc-1.2_3"
    for bad in ("a b", "x" * 129, "né".encode(), ""):
        made = client.get("/v1/me", headers={"X-Request-ID": bad}).headers["X-Request-ID"]
        assert len(made) == 32
    first, second = (client.get("/healthz").headers["X-Request-ID"] for _ in range(2))
    assert first != second


def test_a_caller_continues_its_own_trace(client: httpx.Client, server_runtime: Runtime) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    assert client.post("/v1/answer", json={"question": ASK["query"]}, headers=headers).json()["trace_id"] == trace_id
    trace = client.get(f"/v1/traces/{trace_id}").json()
    assert [root["name"] for root in trace["roots"]] == ["ask"]
    other = client.post("/v1/retrieve", json=ASK, headers={"traceparent": "nonsense"}).json()["trace_id"]
    assert len(other) == 32
    assert other != trace_id


@pytest.mark.parametrize("path", ["/", "/v1/me", "/nowhere", "/openapi.json"])
def test_security_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    policy = headers["Content-Security-Policy"].split("; ")
    assert policy[0] == "default-src 'none'"
    assert "script-src 'self'" in policy
    assert "unsafe" not in headers["Content-Security-Policy"]


def test_the_access_log_tells_route_and_tenant_and_nothing_asked(
    app: FastAPI, key: MakeKey, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "llmflow.access")
    client = TestClient(app)
    headers = {"Authorization": f"Bearer {key()}"}
    client.post("/v1/retrieve?secret=query", json=ASK, headers=headers)
    client.get("/v1/traces/ffff", headers=headers)
    client.get("/nowhere/secret")
    client.get("/healthz")
    # Before them may come the end of a request another test made.
    records = [record.__dict__ for record in caplog.records if record.name == "llmflow.access"][-3:]
    seen = [
        (record["method"], record["route"], record["status"], record["tenant"], record["error"]) for record in records
    ]
    assert seen == [
        ("POST", "/v1/retrieve", 200, "samples", None),
        ("GET", "/v1/traces/{trace_id}", 404, "samples", "not_found"),
        ("GET", None, 404, None, "not_found"),
    ]
    assert all(record["ms"] > 0 for record in records)
    assert not any(word in caplog.text for word in ("secret", "재택근무", "query"))


# Errors


def test_errors_of_paths_and_methods_have_the_one_form(client: httpx.Client) -> None:
    missing = client.get("/v1/nowhere")
    assert (missing.status_code, error_of(missing)["code"]) == (404, "not_found")
    wrong = client.put("/v1/me")
    assert (wrong.status_code, error_of(wrong)["code"], wrong.headers["Allow"]) == (405, "method_not_allowed", "GET")
    assert client.get("/docs").status_code == 404


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", "body"),
        (b"\xff\xfe", "body"),
        (b"[]", "body"),
        (json.dumps({}).encode(), "query"),
        (json.dumps({"query": "휴가", "topk": 3}).encode(), "topk"),
        (json.dumps({"query": "휴가", "top_k": 0}).encode(), "top_k"),
        (json.dumps({"query": "휴가", "threshold": "high"}).encode(), "threshold"),
        (json.dumps({"query": "   "}).encode(), "query"),
        (b'{"query": "\\ud800"}', "query"),
    ],
)
def test_invalid_requests(client: httpx.Client, body: bytes, param: str) -> None:
    response = client.post("/v1/retrieve", content=body, headers={"Content-Type": "application/json"})
    error = error_of(response)
    assert (response.status_code, error["code"], error["param"]) == (422, "invalid_input", param)


def test_without_a_key(client: httpx.Client) -> None:
    response = client.get("/v1/me", headers={"Authorization": ""})
    assert (response.status_code, error_of(response)["code"]) == (401, "unauthenticated")
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_what_fails_inside_is_not_shown(
    key: MakeKey, server_runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(server_runtime)

    @app.get("/fails")
    async def fails() -> None:
        raise RuntimeError("password=hunter2")

    response = TestClient(app).get("/fails")
    assert (response.status_code, error_of(response)["code"]) == (500, "internal_error")
    assert "hunter2" not in response.text
    assert "nosniff" in response.headers["X-Content-Type-Options"]
    assert any(record.exc_info for record in caplog.records)


# Limits


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FastAPI, httpx.Client]]:
    """A server without documents that allows little."""
    limits = {"body_kb": 1, "upload_mb": 1, "concurrency": 2, "timeout_s": 1.0, "threads": 1}
    settings = Settings.model_validate(
        {"data_dir": tmp_path_factory.mktemp("narrow"), "server": limits, "auth": {"burst": 10_000}}
    )
    with Runtime(settings) as runtime:
        runtime.open()  # a second is too short for loading
        app = create_app(runtime)
        headers = {"Authorization": f"Bearer {runtime.keys.create('t', ['d'], Role.READER)[0]}"}
        with serving(app) as url, httpx.Client(base_url=url, headers=headers, timeout=20) as client:
            yield app, client


@pytest.mark.parametrize(
    ("path", "told"),
    [("/v1/retrieve", True), ("/v1/retrieve", False), ("/retrieval", True), ("/retrieval", False), ("/v1/me", True)],
)
def test_bodies_that_are_too_large(narrow: tuple[FastAPI, httpx.Client], path: str, told: bool) -> None:
    content: Any = b" " * 2000 if told else (b" " * 100 for _ in range(20))
    response = narrow[1].request(
        "GET" if path == "/v1/me" else "POST", path, content=content, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 413
    if path == "/retrieval":
        assert response.json()["error_code"] == 413
    else:
        assert error_of(response)["code"] == "too_large"


def test_only_uploads_may_be_large(narrow: tuple[FastAPI, httpx.Client]) -> None:
    _, client = narrow
    form = {"files": {"files": ("a.md", b"x" * 100_000, "text/markdown")}}
    assert client.post("/v1/documents", **form).status_code == 403, "a reader, but not too large"
    assert client.post("/v1/retrieve", **form).status_code == 413
    form = {"files": {"files": ("a.md", b"x" * 2_000_000, "text/markdown")}}
    assert client.post("/v1/documents", **form).status_code == 413


def test_requests_beyond_the_limit_come_back_later(narrow: tuple[FastAPI, httpx.Client]) -> None:
    _, client = narrow
    go_on = threading.Event()

    def slow() -> Iterator[bytes]:
        yield b'{"query": '
        for _ in range(300):
            if go_on.wait(0.1):
                break
            yield b" "
        yield b'"x"}'

    def ask() -> None:
        with httpx.Client(base_url=client.base_url, headers=client.headers, timeout=30) as own:
            statuses.append(own.post("/v1/retrieve", content=slow(), headers={"Content-Type": "application/json"}))

    statuses: list[httpx.Response] = []
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 25
    # Not by trying: the request that tries would take the place of one of the two.
    while "llmflow_requests_in_flight 3.0" not in client.get("/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    response = client.get("/v1/me")
    assert (response.status_code, error_of(response)["code"]) == (503, "overloaded")
    assert response.headers["Retry-After"] == "1"
    assert client.get("/healthz").status_code == client.get("/metrics").status_code == 200
    go_on.set()
    for thread in threads:
        thread.join()
    assert [response.status_code for response in statuses] == [200, 200], "a body that keeps coming is not too late"
    assert client.get("/v1/me").status_code == 200


def test_an_answer_must_begin_in_time(narrow: tuple[FastAPI, httpx.Client]) -> None:
    app, client = narrow
    release = threading.Event()
    app.state.workers.executor.submit(release.wait, 10)
    try:
        late = client.post("/v1/retrieve", json=ASK)
        assert (late.status_code, error_of(late)["code"]) == (504, "timeout")
        late = client.post("/retrieval", json={"knowledge_id": "d", "query": "x"})
        assert (late.status_code, late.json()["error_code"]) == (504, 504)
    finally:
        release.set()
    assert client.post("/v1/retrieve", json=ASK).status_code == 200


def test_events_are_not_cut_by_the_time_limit(narrow: tuple[FastAPI, httpx.Client]) -> None:
    app, client = narrow
    release = threading.Event()
    app.state.workers.executor.submit(release.wait, 10)
    threading.Timer(1.5, release.set).start()
    response = client.post("/v1/answer", json={"question": "휴가?", "stream": True})
    assert response.status_code == 200
    assert "event: finished" in response.text
