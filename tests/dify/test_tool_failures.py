"""What users read when the server is away, slow, refuses, is none at all or answers too much."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chat_server import Reply
from environments import StartPlugin, logged
from faulty_server import Asked, FaultyServer, as_json, page, told
from tool_calls import Tools
from worded_errors import without_python

from dify_plugins.tooling.daemon import MAX_LINE, PluginError

SECRET = "llmflow_secret_key"


@pytest.fixture
def faulty() -> Iterator[FaultyServer]:
    """In the place of LLMFlow."""
    with FaultyServer(lambda _: page()).running() as running:
        yield running


@pytest.fixture
def tools(start_plugin: StartPlugin, faulty: FaultyServer, python: str) -> Tools:
    """The plugin in each environment, before that server."""
    credentials = {"base_url": faulty.url, "api_key": SECRET, "language": "ko", "timeout_s": "20"}
    return Tools(start_plugin("llmflow", python), credentials)


def candidate(text: str, number: int = 0) -> dict[str, Any]:
    """A passage as the server finds it."""
    chunk = {"id": f"c{number}", "document_id": f"d{number}", "text": text, "document_name": "규정.pdf"}
    return {"chunk": {**chunk, "department": "인사", "section_path": [], "page": None}, "score": 0.5}


def retrieval(*candidates: dict[str, Any]) -> Reply:
    """What the server answers to a search."""
    return as_json({"candidates": candidates, "timings_ms": {}, "degradations": [], "trace_id": None})


def _json(content: bytes, **headers: str) -> Reply:
    """Bytes that say they are JSON."""
    return Reply([content], 200, {"Content-Type": "application/json", **headers})


@pytest.mark.parametrize(
    ("reply", "korean", "english"),
    [
        (
            told(401, "unauthenticated"),
            "키(api_key)가 올바르지 않거나 만료",
            "key (api_key) is wrong or no longer valid",
        ),
        (told(403, "forbidden", "no 재무", "departments"), "부서 이름을 확인", "names of the departments"),
        (
            told(403, "forbidden", "no", "role"),
            "편집자(editor) 키를 요청",
            "Ask your administrator for an editor's key",
        ),
        (told(404, "not_found", "nothing here"), "서버가 플러그인보다 오래되지", "no older than the plugin"),
        (told(409, "conflict", "busy"), "관리자에게 문의", "Ask your administrator"),
        (told(413, "too_large", "1 MiB at most"), "양을 줄여", "Send less"),
        (
            told(422, "invalid_input", "top_k: too big"),
            "(서버의 설명: top_k: too big)",
            "(The server says: top_k: too big)",
        ),
        (told(429, "rate_limited", **{"Retry-After": "17"}), "17초 뒤에 다시", "Try again in 17 seconds"),
        (told(429, "rate_limited"), "잠시 뒤 다시", "Try again a little later"),
        (told(500, "internal_error"), "요청 번호(request-17)", "request number request-17"),
        (told(429, "rate_limited", **{"Retry-After": "1e300"}), "잠시 뒤 다시", "Try again a little later"),
        (told(503, "upstream", "no store", **{"Retry-After": "5"}), "5초 뒤에 다시", "Try again in 5 seconds"),
        (told(504, "timeout"), "제때 만들지 못했습니다", "could not make the answer in time"),
        (page(429, **{"Retry-After": "Sat, 21 Nov 2026 00:00:00 GMT"}), "잠시 뒤 다시", "Try again a little later"),
        (page(413), "양을 줄여", "Send less"),
        (page(500), "요청 번호(-)", "request number -"),
        (page(502), "지금은 처리할 수 없습니다. 잠시 뒤", "cannot do that now. Try again a little later"),
        (page(503, **{"Retry-After": "9"}), "9초 뒤에", "in 9 seconds"),
        (page(504), "제때 만들지 못했습니다", "could not make the answer in time"),
        (page(200), "로그인 화면이나 프록시", "a login page or a proxy"),
        (page(401), "다른 서버가 답했습니다(HTTP 401)", "other than LLMFlow answers (HTTP 401)"),
        (page(404), "다른 서버가 답했습니다(HTTP 404)", "other than LLMFlow answers (HTTP 404)"),
        (page(302, Location="/login"), "다른 서버가 답했습니다(HTTP 302)", "other than LLMFlow answers (HTTP 302)"),
        (
            page(308, Location="https://llmflow.example.com/v1/retrieve?x=1"),
            "다른 주소로 안내합니다: https://llmflow.example.com.",
            "leads to another address: https://llmflow.example.com.",
        ),
        (
            page(302, Location="https://u:p@sso.example.com/x"),
            ": https://sso.example.com.",
            ": https://sso.example.com.",
        ),
        (as_json({"detail": "Not Found"}, 404), "(HTTP 404)", "(HTTP 404)"),
        (as_json({"error": {"message": "no such model"}}, 400), "(HTTP 400)", "(HTTP 400)"),
        (as_json(["candidates"]), "다른 서버가 답했습니다(HTTP 200)", "other than LLMFlow answers (HTTP 200)"),
        (as_json({"candidates": []}), "다른 서버가 답했습니다(HTTP 200)", "other than LLMFlow answers (HTTP 200)"),
        (Reply([b'{"candidates": ['], 200, {"Content-Type": "application/json"}), "(HTTP 200)", "(HTTP 200)"),
        (Reply([b"{"], 200, {"Content-Length": "1000"}), "도중에 끊어졌습니다", "broke off"),
        (Reply([b"no gzip"], 200, {"Content-Encoding": "gzip"}), "(HTTP 200)", "(HTTP 200)"),
        (_json(b'{"candidates":[],"timings_ms":' + b"[" * 900 + b"]" * 900 + b',"degradations":[]}'), "200", "200"),
        (
            _json(
                gzip.compress(b'{"candidates":[],"timings_ms":{},"degradations":[]}'), **{"Content-Encoding": "gzip"}
            ),
            "(HTTP 200)",
            "(HTTP 200)",
        ),
        (Reply([b" " * 1_000_000] * 33), "32MB를 넘어", "larger than 32 MB"),
    ],
)
def test_what_the_server_says(
    start_plugin: StartPlugin, faulty: FaultyServer, reply: Reply, korean: str, english: str
) -> None:
    faulty.decide = lambda _: reply
    for python, language, words in (("py311", "ko", korean), ("py312", "en", english)):
        credentials = {"base_url": faulty.url, "api_key": SECRET, "language": language, "timeout_s": "20"}
        tools = Tools(start_plugin("llmflow", python), credentials)
        failures = [
            tools.failure("retrieve", query="연차"),
            tools.failure("rerank", query="연차", passages=["연차"]),
            tools.failure("ingestion_status", job_id="17"),
        ]
        with pytest.raises(PluginError) as refused:
            tools.validate()
        for failure in (*failures, without_python(refused.value)):
            assert words in failure
            assert SECRET not in failure
            assert "<html>" not in failure


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (told(401, "unauthenticated"), "InvokeAuthorizationError"),
        (told(403, "forbidden"), "InvokeAuthorizationError"),
        (told(404, "not_found"), "InvokeBadRequestError"),
        (told(422, "invalid_input"), "InvokeBadRequestError"),
        (page(429), "InvokeRateLimitError"),
        (told(500, "internal_error"), "InvokeServerUnavailableError"),
        (page(504), "InvokeServerUnavailableError"),
        (page(), "InvokeConnectionError"),
        (Reply([b"{"], 200, {"Content-Length": "1000"}), "InvokeConnectionError"),
        (Reply([b" "] * 600, 200, {"Content-Type": "application/json"}, pause_s=0.05), "InvokeConnectionError"),
    ],
)
def test_the_kind_of_failure_is_told(tools: Tools, faulty: FaultyServer, reply: Reply, kind: str) -> None:
    faulty.decide = lambda _: reply
    with pytest.raises(PluginError) as caught:
        tools.with_credentials(timeout_s="1").run("mask_pii", text="연차")
    assert caught.value.kind == kind


def test_a_refusal_names_what_the_tool_was_after(tools: Tools, faulty: FaultyServer) -> None:
    faulty.decide = lambda _: told(409, "conflict", "there is no graph", "graph.enabled")
    assert "지식 그래프가 꺼져" in tools.failure("search_graph", entity="휴가")
    faulty.decide = lambda _: told(404, "not_found", "no entity '휴가'; similar: '연차휴가'", "entity")
    assert "similar: '연차휴가'" in tools.failure("search_graph", entity="휴가")


def test_nobody_listens(tools: Tools) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    for host, words in (
        (f"127.0.0.1:{port}", "127.0.0.1은(는) 그 컨테이너 자신"),
        (f"localhost:{port}", "localhost은(는) 그 컨테이너 자신"),
        (f"127-0-0-1.invalid:{port}", "'127-0-0-1.invalid'인 서버를 찾을 수 없습니다"),
    ):
        assert words in tools.with_credentials(base_url=f"http://{host}").failure("retrieve", query="연차")


def test_certificates_and_plain_connections(tools: Tools, faulty: FaultyServer, tmp_path: Path) -> None:
    plain = faulty.url.replace("http:", "https:")
    assert "주소를 http://로" in tools.with_credentials(base_url=plain).failure("retrieve", query="연차")
    with FaultyServer(lambda _: retrieval()).running() as secure:
        secure.encrypt(tmp_path)
        told_so = tools.with_credentials(base_url=secure.url).failure("retrieve", query="연차")
        assert "인증서를 믿을 수 없습니다(self-signed certificate)" in told_so
        unencrypted = secure.url.replace("https:", "http:")
        assert "도중에 끊어졌습니다" in tools.with_credentials(base_url=unencrypted).failure("retrieve", query="연차")


def test_slow_servers_do_not_hold_a_run(tools: Tools, faulty: FaultyServer) -> None:
    released = threading.Event()

    def silent(_: Asked) -> Reply:
        released.wait(60)
        return page()

    drip = Reply([b" "] * 600, 200, {"Content-Type": "application/json"}, pause_s=0.05)
    faulty.decide = lambda asked: drip if asked.path == "/v1/retrieve" else silent(asked)
    hasty = tools.with_credentials(timeout_s="1")
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(4) as users:
        threading.Thread(target=_drip_a_head, args=(server,), daemon=True).start()
        dripping = hasty.with_credentials(base_url=f"http://127.0.0.1:{server.getsockname()[1]}")
        failures = [
            users.submit(hasty.failure, "retrieve", query="연차"),
            users.submit(hasty.failure, "mask_pii", text="연차"),
            users.submit(hasty.failure, "answer", question="연차"),
            users.submit(dripping.failure, "retrieve", query="연차"),
        ]
        for failure in failures:
            assert "제한 시간 1초 안에" in failure.result()
    released.set()


def _drip_a_head(server: socket.socket) -> None:
    """Send a head's lines, and never its end."""
    connection, _ = server.accept()
    try:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            time.sleep(0.05)
            connection.sendall(b"X-More: x\r\n")
    except OSError:
        pass  # the client hung up, as it should


def test_large_results_are_cut_where_all_can_see(tools: Tools, faulty: FaultyServer) -> None:
    text = '가나다라 "인용"\n' * 220
    faulty.decide = lambda _: retrieval(*(candidate(text, number) for number in range(1000)))
    found = tools.run("retrieve", query="연차", top_k=1000)
    kept = found.variables["count"]
    assert 100 < kept == len(found.variables["result"]) == len(found.resources) < 1000
    assert {passage["content"] for passage in found.variables["result"]} == {text}
    note = f"결과가 너무 커서 1,000개 중 앞의 {kept:,}개만 담았습니다"
    assert found.variables["degradations"] == [note]
    assert found.text.endswith(f"알림:\n- {note}")
    assert tools.plugin.alive
    assert tools.plugin.longest_line < MAX_LINE


@pytest.mark.parametrize("character", ["가", "\x01", '"', "😀"])
def test_one_passage_of_ten_megabytes(tools: Tools, faulty: FaultyServer, character: str) -> None:
    text = character * (10_000_000 // len(json.dumps(character, ensure_ascii=False).encode()))
    faulty.decide = lambda asked: (
        retrieval(candidate(text), candidate("짧은 문단"))
        if asked.path == "/v1/retrieve"
        else as_json({"text": text, "entities": []})
    )
    found = tools.run("retrieve", query="연차")
    (passage,) = found.variables["result"]
    assert passage["content"][:-1] == text[: len(passage["content"]) - 1]
    assert passage["content"].endswith("…")
    assert passage["metadata"] == {"document_id": "d0", "chunk_id": "c0", "department": "인사"}
    assert "2개 중 앞의 1개만" in found.text
    masked = tools.run("mask_pii", text="x")
    assert masked.json["text"][:-1] == text[: len(masked.json["text"]) - 1]
    assert "잘랐습니다" in masked.text
    assert tools.plugin.longest_line < MAX_LINE


def test_large_passages_to_rank_are_cut_where_all_can_see(tools: Tools, faulty: FaultyServer) -> None:
    ranked = [{"index": index, "relevance_score": 0.5} for index in range(900)]
    faulty.decide = lambda _: as_json({"results": ranked, "llmflow": {"degradations": []}})
    result = tools.run("rerank", query="연차", passages=["가나다라" * 1000] * 900)
    assert 0 < result.variables["count"] < 900
    assert "900개 중 앞의" in result.text
    assert result.variables["degradations"][0] in result.text
    assert tools.plugin.longest_line < MAX_LINE


def test_what_did_not_work_is_told(tools: Tools, faulty: FaultyServer) -> None:
    degradations = [{"stage": "cross_encoder", "reason": "it did not answer in 2 s"}]
    faulty.decide = lambda asked: (
        as_json({"results": [{"index": 0, "relevance_score": 1.0}], "llmflow": {"degradations": degradations}})
        if asked.path == "/v1/rerank"
        else as_json({"candidates": [], "timings_ms": {}, "degradations": degradations, "trace_id": "17"})
    )
    for result in (tools.run("retrieve", query="연차"), tools.run("rerank", query="연차", passages=["연차"])):
        assert result.variables["degradations"] == ["cross_encoder: it did not answer in 2 s"]
        assert result.text.endswith("알림:\n- cross_encoder: it did not answer in 2 s")


def test_no_cookie_is_kept_for_others(tools: Tools, faulty: FaultyServer) -> None:
    found = retrieval()
    faulty.decide = lambda _: replace(found, headers={**found.headers, "Set-Cookie": "user=first; Path=/"})
    for _ in range(2):
        tools.run("retrieve", query="연차")
    assert [asked.headers.get("cookie") for asked in faulty.asked] == [None, None]


def test_what_is_left_empty_is_not_sent(tools: Tools, faulty: FaultyServer) -> None:
    faulty.decide = lambda _: retrieval()
    empty = {"top_k": None, "score_threshold": "", "departments": " , ", "metadata_filter": "{}", "rerank": "default"}
    tools.run("retrieve", query="연차", **empty, explain=None)
    tools.run("retrieve", query="연차", score_threshold=0, rerank="none", explain=True, departments=["인사 ", "보안"])
    bodies = [asked.body.decode() for asked in faulty.asked]
    assert bodies[0] == '{"query":"연차"}'
    assert bodies[1] == (
        '{"query":"연차","threshold":0.0,"departments":["인사","보안"],"rerank":"none","explain":true}'
    )


def test_a_bug_is_told_without_python(tools: Tools, faulty: FaultyServer) -> None:
    faulty.decide = lambda _: retrieval({"score": 1})
    assert "예상하지 못한 문제" in tools.failure("retrieve", query="연차")
    assert any("KeyError at " in line and "retrieve.py:" in line for line in logged(tools.plugin, "KeyError at "))
    faulty.decide = lambda _: retrieval({**candidate("연차"), "score": "text of a user"})
    assert "예상하지 못한 문제" in tools.failure("retrieve", query="연차")
    assert not any("text of a user" in line for line in logged(tools.plugin, "unexpected error: ", times=2))


BIG = "x" * 6_000_000


@pytest.mark.parametrize(
    ("tool", "given", "reply"),
    [
        (
            "retrieve",
            {"query": "연차"},
            {"candidates": [], "degradations": [{"stage": "llm", "reason": "r" * 10_000}] * 700, "trace_id": None},
        ),
        ("retrieve", {"query": "연차"}, {"candidates": [], "degradations": [], "trace_id": BIG}),
        (
            "ingestion_status",
            {"job_id": "1"},
            {
                **{"id": BIG, "document_id": "d", "status": "running", "stage": BIG, "error": None},
                "document": {"name": BIG, "chunks_count": 0},
            },
        ),
        ("search_graph", {"entity": "연차"}, {"name": BIG, "types": [], "about": [], "mentioned": [], "relations": []}),
    ],
)
def test_no_field_of_an_answer_kills_the_plugin(
    tools: Tools, faulty: FaultyServer, tool: str, given: dict[str, Any], reply: dict[str, Any]
) -> None:
    faulty.decide = lambda _: as_json({"timings_ms": {}, **reply})
    assert "결과가 너무 커서" in tools.run(tool, **given).text
    assert tools.plugin.longest_line < MAX_LINE


def test_half_a_surrogate_pair_becomes_a_question_mark(tools: Tools, faulty: FaultyServer) -> None:
    found = {"candidates": [candidate("연차 \ud83d")], "timings_ms": {}, "degradations": []}
    faulty.decide = lambda _: _json(json.dumps(found).encode())
    result = tools.run("retrieve", query="연차", metadata_filter='{"name": "a\\ud83d"}')
    assert result.variables["result"][0]["content"] == "연차 ?"
    assert json.loads(faulty.asked[-1].body)["filter"]["conditions"][0]["value"] == "a?"
    faulty.decide = lambda _: as_json(
        {"results": [{"index": 0, "relevance_score": 1.0}], "llmflow": {"degradations": []}}
    )
    ranked = tools.run("rerank", query="연차", passages='["연차 \\ud83d"]')
    assert ranked.variables["result"][0]["content"] == "연차 ?"
