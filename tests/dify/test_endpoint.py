"""The endpoint for Dify's External Knowledge API: the whole contract, passed on to a real server."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from chat_server import Reply
from environments import StartPlugin, logged
from faulty_server import FaultyServer, as_json, page
from llmflow_server import LLMFlowServer

from dify_plugins.tooling.daemon import MAX_LINE, PluginProcess, Transport

ACCESS_KEY = "dify-보다-긴-열쇠"
QUESTION = "국외에서도 재택근무를 할 수 있나요?"
SETTING = {"top_k": 3, "score_threshold": 0}


@dataclass
class Endpoint:
    """The endpoint with an administrator's settings, called as Dify's daemon calls it."""

    plugin: PluginProcess
    settings: dict[str, Any]

    def post(
        self, body: Any = None, key: str | None = f"Bearer {ACCESS_KEY}", path: str = "/retrieval"
    ) -> tuple[int, Mapping[str, str], Any]:
        """Status, headers and JSON of the response."""
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        head = [f"POST {path} HTTP/1.1", "Host: dify.internal", f"Content-Length: {len(content)}"]
        head += ["Dify-Hook-Id: abc", "Content-Type: application/json"]
        head += [f"Authorization: {key}"] if key is not None else []
        raw = "\r\n".join((*head, "", "")).encode() + content
        fields = {"raw_http_request": raw.hex(), "settings": self.settings}
        first, *others = self.plugin.invoke("endpoint", "invoke_endpoint", **fields)
        assert first["headers"]["Content-Type"] == "application/json"
        received = b"".join(bytes.fromhex(each["result"]) for each in (first, *others) if "result" in each)
        return first["status"], first["headers"], json.loads(received)

    def ask(self, knowledge: str = "all", query: str = QUESTION, **others: Any) -> tuple[int, Any]:
        """Status and JSON of the response to a question."""
        setting = others.pop("retrieval_setting", SETTING)
        status, _, body = self.post({"knowledge_id": knowledge, "query": query, "retrieval_setting": setting, **others})
        return status, body


@pytest.fixture
def endpoint(start_plugin: StartPlugin, server: LLMFlowServer, python: str) -> Endpoint:
    """The endpoint in each environment."""
    settings = {"base_url": server.url, "api_key": server.key("reader"), "access_key": ACCESS_KEY}
    return Endpoint(start_plugin("llmflow", python), settings)


@pytest.fixture
def faulty() -> Iterator[FaultyServer]:
    """In the place of LLMFlow."""
    with FaultyServer(lambda _: page()).running() as running:
        yield running


def test_records(start_plugin: StartPlugin, endpoint: Endpoint, python: str, transport: Transport) -> None:
    endpoint = Endpoint(start_plugin("llmflow", python, transport), endpoint.settings)
    status, body = endpoint.ask()
    assert status == 200
    assert len(body["records"]) == 3
    first = body["records"][0]
    assert set(first) == {"content", "score", "title", "metadata"}
    assert "국외에서는 재택근무를 할 수 없다." in first["content"]
    assert first["title"] == "재택근무규정.md"
    for record in body["records"]:
        assert 0 <= record["score"] <= 1
        assert record["metadata"]["document_id"]
        assert None not in record["metadata"].values()


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"knowledge_id": "보안"},
        {"knowledge_id": "재무"},
        {"retrieval_setting": {"top_k": 2, "score_threshold": 0.3}},
        {"retrieval_setting": {"top_k": 50, "score_threshold": None}},
        {"retrieval_setting": {"top_k": 0, "score_threshold": 0}},
        {
            "metadata_condition": {
                "logical_operator": "or",
                "conditions": [
                    {"name": ["name"], "comparison_operator": "contains", "value": "재택"},
                    {"name": "department", "comparison_operator": "in", "value": ["보안"]},
                ],
            }
        },
        {"metadata_condition": {"conditions": [{"name": "a", "comparison_operator": "like", "value": "x"}]}},
        {"query": ""},
        {"knowledge_id": None},
    ],
)
def test_every_answer_is_the_servers_own(endpoint: Endpoint, server: LLMFlowServer, more: dict[str, Any]) -> None:
    body = {"knowledge_id": "all", "query": QUESTION, "retrieval_setting": SETTING, **more}
    headers = {"Authorization": f"Bearer {server.key('reader')}"}
    direct = httpx.post(f"{server.url}/retrieval", json=body, headers=headers)
    status, _, passed_on = endpoint.post(body)
    assert (status, _rounded(passed_on)) == (direct.status_code, _rounded(direct.json()))


def _rounded(body: dict[str, Any]) -> dict[str, Any]:
    """Without the last digits of scores, which one search in many has otherwise."""
    if "records" not in body:
        return body
    return {"records": [{**record, "score": round(record["score"], 4)} for record in body["records"]]}


def test_an_unknown_knowledge(endpoint: Endpoint) -> None:
    status, body = endpoint.ask("재무")
    assert (status, body["error_code"], set(body)) == (404, 2001, {"error_code", "error_msg"})


def test_registration_sends_no_body(endpoint: Endpoint) -> None:
    assert endpoint.post() == (200, {"Content-Type": "application/json"}, {"records": []})


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, 1001), ("", 1001), ("Basic abc", 1001), ("Bearer", 1001), ("Bearer ", 1001),
        ("Bearer wrong", 1002), (f"Bearer {ACCESS_KEY}x", 1002),
    ],
)  # fmt: skip
def test_bad_keys_are_forbidden(endpoint: Endpoint, key: str | None, code: int) -> None:
    for body in (None, {"knowledge_id": "all", "query": "x"}):
        status, _, told = endpoint.post(body, key)
        assert (status, told["error_code"], set(told)) == (403, code, {"error_code", "error_msg"})


def test_the_llmflow_key_does_not_open_the_endpoint(endpoint: Endpoint) -> None:
    assert endpoint.post(key=f"Bearer {endpoint.settings['api_key']}")[0] == 403
    for empty in ("", None):
        open_to_all = Endpoint(endpoint.plugin, {**endpoint.settings, "access_key": empty})
        assert open_to_all.post(key="Bearer ")[2]["error_code"] == 1001
        assert open_to_all.post(key="Bearer None")[2]["error_code"] == 1002


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b"\xff", "연차".encode()])
def test_what_is_no_request(endpoint: Endpoint, body: bytes) -> None:
    status, _, told = endpoint.post(body)
    assert (status, told["error_code"], set(told)) == (422, 422, {"error_code", "error_msg"})


def test_failures_on_the_way_are_no_consent(endpoint: Endpoint, faulty: FaultyServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = f"http://127.0.0.1:{gone.getsockname()[1]}"
    for settings, words in (
        ({"base_url": nobody}, "cannot be reached"),
        ({"base_url": "llmflow:8080"}, "begins with http://"),
        ({"base_url": ""}, "(base_url) is empty"),
        ({"base_url": "http://llmflow..internal"}, "begins with http://"),
        ({"api_key": "llmflow_0_0"}, "key in the settings of this endpoint is refused"),
        ({"api_key": ""}, "(api_key) is empty"),
        ({"base_url": faulty.url}, "something other than LLMFlow"),
    ):
        for body in (None, {"knowledge_id": "all", "query": "x"}):
            status, _, told = Endpoint(endpoint.plugin, {**endpoint.settings, **settings}).post(body)
            assert (status, told["error_code"], set(told)) == (502, 502, {"error_code", "error_msg"})
            assert words in told["error_msg"]


def test_errors_keep_difys_form(endpoint: Endpoint, faulty: FaultyServer) -> None:
    proxied = Endpoint(endpoint.plugin, {**endpoint.settings, "base_url": faulty.url})
    own = as_json({"error_code": 503, "error_msg": "Milvus is away"}, 503, **{"Retry-After": "5"})
    cut = Reply([b"{"], 200, {"Content-Length": "99"})
    for reply, expected, words in (
        (own, 503, "Milvus is away"),
        (page(503), 503, "cannot do that now"),
        (page(413), 413, "Send less"),
        (page(429), 429, "Try again"),
        (page(500), 500, "failed inside"),
        (page(404), 502, "something other than LLMFlow"),
        (page(301, Location="https://sso.example.com/login"), 502, "https://sso.example.com"),
        (as_json({"records_of": 7}), 502, "something other than LLMFlow"),
        (cut, 502, "broke off"),
    ):
        faulty.decide = lambda _, reply=reply: reply
        status, headers, told = proxied.post({"knowledge_id": "all", "query": "x"})
        assert (status, told["error_code"], set(told)) == (expected, expected, {"error_code", "error_msg"})
        assert words in told["error_msg"]
        assert headers.get("Retry-After") == ("5" if reply is own else None)
    assert {asked.headers["authorization"] for asked in faulty.asked} == {f"Bearer {endpoint.settings['api_key']}"}


def test_a_bug_is_no_consent_and_its_log_has_no_texts(endpoint: Endpoint, faulty: FaultyServer) -> None:
    faulty.decide = lambda _: as_json({"error_code": 1002}, 401)
    status, _, told = Endpoint(endpoint.plugin, {**endpoint.settings, "base_url": faulty.url}).post()
    assert (status, told["error_code"]) == (502, 502)
    assert logged(endpoint.plugin, "KeyError at retrieval.py:")


def test_ten_megabytes_pass(endpoint: Endpoint, faulty: FaultyServer) -> None:
    record = {"content": "가" * 10_000, "score": 0.5, "title": "규정.pdf", "metadata": {"document_id": "d"}}
    faulty.decide = lambda _: as_json({"records": [record] * 340})
    proxied = Endpoint(endpoint.plugin, {**endpoint.settings, "base_url": faulty.url})
    assert proxied.ask() == (200, {"records": [record] * 340})
    assert endpoint.plugin.longest_line < MAX_LINE
    assert endpoint.plugin.alive
