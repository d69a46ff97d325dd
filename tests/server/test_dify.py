"""Dify's External Knowledge API, as Dify calls it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from served import MakeKey

from llmflow.errors import UpstreamError
from llmflow.runtime import Runtime
from llmflow.server.app import create_app

QUESTION = "재택근무는 국외에서 가능한가요?"


def ask(client: httpx.Client, knowledge: str = "all", query: str = QUESTION, **more: Any) -> httpx.Response:
    setting = {"top_k": 3, "score_threshold": 0.0}
    body = {"knowledge_id": knowledge, "query": query, "retrieval_setting": setting, **more}
    return client.post("/retrieval", json=body)


def records(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["records"]
    return found


def test_registration_posts_nothing(client: httpx.Client) -> None:
    assert records(client.post("/retrieval")) == []
    assert records(client.post("/retrieval", headers={"Content-Type": "application/json"})) == []


@pytest.mark.parametrize(
    ("header", "code"),
    [("", 1001), ("Basic abc", 1001), ("Bearer", 1001), ("Bearer nonsense", 1002), ("Bearer llmflow_0_0", 1002)],
)
def test_bad_keys_are_forbidden(client: httpx.Client, header: str, code: int) -> None:
    for content in (b"", b'{"knowledge_id": "all", "query": "x"}'):
        headers = {"Authorization": header, "Content-Type": "application/json"}
        response = client.post("/retrieval", content=content, headers=headers)
        assert (response.status_code, response.json()["error_code"]) == (403, code)
        assert set(response.json()) == {"error_code", "error_msg"}


def test_records(client: httpx.Client) -> None:
    found = records(ask(client))
    assert len(found) == 3
    first = found[0]
    assert set(first) == {"content", "score", "title", "metadata"}
    assert "국외에서는 재택근무를 할 수 없다." in first["content"]
    assert first["title"] == first["metadata"]["name"] == "재택근무규정.md"
    assert first["metadata"]["department"] == "인사"
    assert first["metadata"]["section"] == "3. 근무 장소"
    assert len(first["metadata"]["document_id"]) == 32
    for record in found:
        assert 0 <= record["score"] <= 1
        assert None not in record["metadata"].values()
        assert not any("/" in str(value) for key, value in record["metadata"].items() if key != "section")


def test_top_k_and_threshold_count(client: httpx.Client) -> None:
    five = records(ask(client, retrieval_setting={"top_k": 5, "score_threshold": 0}))
    assert records(ask(client, retrieval_setting={"top_k": 2, "score_threshold": 0})) == five[:2]
    middle = five[1]["score"]
    assert five[2]["score"] < middle
    assert records(ask(client, retrieval_setting={"top_k": 5, "score_threshold": middle})) == five[:2]
    assert records(ask(client, retrieval_setting={"top_k": 5, "score_threshold": None}))
    assert records(client.post("/retrieval", json={"knowledge_id": "all", "query": QUESTION}))


def test_a_knowledge_is_a_department(client: httpx.Client, live: str, key: MakeKey) -> None:
    assert {record["metadata"]["department"] for record in records(ask(client, "보안", "출장비"))} == {"보안"}
    only = httpx.Client(base_url=live, headers={"Authorization": f"Bearer {key(departments=('보안',))}"})
    with only:
        assert {record["metadata"]["department"] for record in records(ask(only, query="출장비"))} == {"보안"}
        absent = ask(only, "없는 부서")
        foreign = ask(only, "인사")
    for response in (absent, foreign):
        assert (response.status_code, response.json()["error_code"]) == (404, 2001)
    assert absent.text.replace("없는 부서", "인사") == foreign.text


@pytest.mark.parametrize(
    ("name", "operator", "value", "expected"),
    [
        ("name", "contains", "재택", {"재택근무규정.md"}),
        ("document_name", "not contains", ["재택", "복리"], {"it_security_faq.md", "공지_출장비_2024.txt"}),
        (["title", "department"], "is", "보안", {"it_security_faq.md", "공지_출장비_2024.txt"}),
        ("created_at", "before", "2000-01-01", set()),
        ("project", "empty", None, {"재택근무규정.md", "복리후생.csv", "it_security_faq.md", "공지_출장비_2024.txt"}),
    ],
)
def test_conditions(client: httpx.Client, name: Any, operator: str, value: Any, expected: set[str]) -> None:
    condition = {"name": name, "comparison_operator": operator, "value": value}
    response = client.post(
        "/retrieval",
        json={
            "knowledge_id": "all",
            "query": "신청 승인 비밀번호 출장비 재택근무 복리후생 remote work password",
            "retrieval_setting": {"top_k": 100, "score_threshold": 0},
            "metadata_condition": {"logical_operator": "and", "conditions": [condition]},
        },
    )
    assert {record["title"] for record in records(response)} == expected


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"knowledge_id": "all", "query": ""}',
        b'{"knowledge_id": "all", "query": "x", "retrieval_setting": {"top_k": 0}}',
        b'{"knowledge_id": "all", "query": "x", "metadata_condition": {"conditions": [{"name": "a", '
        b'"comparison_operator": "like", "value": "x"}]}}',
    ],
)
def test_invalid_requests_have_difys_form(client: httpx.Client, body: bytes) -> None:
    response = client.post("/retrieval", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error_code"]) == (422, 422)
    assert set(response.json()) == {"error_code", "error_msg"}
    assert client.get("/retrieval").json()["error_code"] == 405


def test_what_fails_inside_has_difys_form(
    server_runtime: Runtime, key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = TestClient(create_app(server_runtime), headers={"Authorization": f"Bearer {key()}"})
    for error, status in ((RuntimeError("secret"), 500), (UpstreamError("Milvus does not answer"), 503)):

        def fail(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(server_runtime.retriever, "retrieve", fail)
        response = client.post("/retrieval", json={"knowledge_id": "all", "query": "x"})
        assert (response.status_code, response.json()["error_code"]) == (status, status)
        assert "secret" not in response.text
        assert ("Retry-After" in response.headers) == (status == 503)
