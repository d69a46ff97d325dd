"""Chat sessions over real connections: SSE and WebSocket, lost and resumed."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from llmflow.runtime import Runtime
from llmflow.schema import Role, Scope
from llmflow.server.app import create_app
from llmflow.settings import Settings

# The scripted chat server lives beside the tests of its client.
sys.path.append(str(Path(__file__).parents[1] / "models"))
from chat_server import ChatServer, Reply, chat_server
from chat_server import answer as scripted

SLOW_S = 0.15
ANSWER = "연차휴가는 15일입니다. [1] 3년 이상 일하면 2년마다 1일을 더합니다. [1] 한도는 25일입니다. [1]"
LEAVE = (
    "# 휴가규정\n\n## 제4조(연차휴가)\n\n연차휴가는 15일이다. 3년 이상 일하면 2년마다 1일을 더한다. 한도는 25일이다.\n"
)
QUESTION = "연차휴가는 며칠인가요?"


class Server:
    """A server on a port of its own, over a runtime with one document."""

    def __init__(self, runtime: Runtime, port: int) -> None:
        self.runtime = runtime
        self.url = f"http://127.0.0.1:{port}"

    def key(self, departments: tuple[str, ...] = ("인사",), tenant: str = "회사") -> str:
        text, _ = self.runtime.keys.create(tenant, departments, Role.READER)
        return text

    def client(self, key: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=20)

    def socket(self, key: str, session: str = "s", **options: Any) -> ClientConnection:
        url = f"{self.url.replace('http', 'ws', 1)}/v1/chat/{session}"
        return connect(url, additional_headers={"Authorization": f"Bearer {key}"}, open_timeout=20, **options)


@contextmanager
def serving(folder: Path, **settings: Any) -> Iterator[Server]:
    values = {
        "data_dir": folder / "data",
        "parsing": {"ocr": "off"},
        "pii": {"enabled": False},
        "tracing": {"enabled": False},
        **settings,
    }
    with Runtime(Settings.model_validate(values)) as runtime, socket.create_server(("127.0.0.1", 0)) as listener:
        (folder / "휴가규정.md").write_text(LEAVE, encoding="utf-8")
        list(runtime.ingest(Scope("회사", ("인사",)), "인사", [folder / "휴가규정.md"]))
        server = uvicorn.Server(uvicorn.Config(create_app(runtime), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.02)
                assert thread.is_alive()
            yield Server(runtime, listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(30)


@pytest.fixture(scope="module")
def extractive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("extractive")) as server:
        yield server


@pytest.fixture(scope="module")
def llm() -> Iterator[ChatServer]:
    with chat_server(scripted(ANSWER, pause_s=SLOW_S)) as server:
        yield server


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory, llm: ChatServer) -> Iterator[Server]:
    # Without the cache, which would make a repeated question quick.
    values = {"llm": {"base_url": llm.base_url}, "cache": {"enabled": False}}
    with serving(tmp_path_factory.mktemp("slow"), **values) as server:
        yield server


Events = list[tuple[str, str, Any]]


def sse(response: httpx.Response, stop: Callable[[Events], bool] = lambda events: False) -> Events:
    """(id, event, data) of each event, until ``stop``."""
    events: Events = []
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        elif "event" in fields:
            events.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
            fields = {}
            if stop(events):
                break
    return events


def ask(client: httpx.Client, question: str, session: str = "s", **body: Any) -> Events:
    with client.stream("POST", f"/v1/chat/{session}", json={"question": question, **body}) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        return sse(response)


def received(socket: ClientConnection, last: str = "finished") -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while not events or events[-1]["event"] not in (last, "error"):
        events.append(json.loads(socket.recv(timeout=20)))
    return events


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(event["data"]["text"] for event in events if event["event"] == "delta")


def test_a_conversation_over_sse_with_history(extractive: Server) -> None:
    with extractive.client(extractive.key()) as client:
        events = ask(client, QUESTION)
        assert [event for _, event, _ in events][-1] == "finished"
        answer = events[-1][2]
        assert "".join(data["text"] for _, event, data in events if event == "delta") == answer["text"]
        ids = [int(id_) for id_, _, _ in events]
        assert ids == sorted(set(ids))
        follow_up = ask(client, "그 한도는 며칠인가요?")
        assert follow_up[0][1:] == ("rewritten", {"question": "연차휴가 한도는 며칠인가요?"})
        assert "25일" in follow_up[-1][2]["text"]
        assert follow_up[-1][2]["cached"] is False
        history = client.get("/v1/chat/s").json()
        assert [message["role"] for message in history["messages"]] == ["user", "assistant"] * 2
        assert history["messages"][1]["content"] == answer["text"]
        assert history["messages"][1]["citations"] == answer["citations"]
        assert history["messages"][2]["standalone"] == "연차휴가 한도는 며칠인가요?"
        assert history["running"] is False
        assert client.delete("/v1/chat/s").status_code == 204
        assert client.get("/v1/chat/s").json()["messages"] == []
        assert client.get("/v1/chat/s/events").status_code == 404


def test_a_session_is_empty_for_everybody_else(extractive: Server) -> None:
    owner, keys = extractive.key(), [extractive.key(), extractive.key(("인사", "재무")), extractive.key(tenant="남")]
    with extractive.client(owner) as client:
        ask(client, QUESTION, "mine")
        mine = client.get("/v1/chat/mine").json()
        assert len(mine["messages"]) == 2
    for key in keys:
        with extractive.client(key) as client:
            foreign, never = client.get("/v1/chat/mine"), client.get("/v1/chat/none")
            assert foreign.json()["messages"] == never.json()["messages"] == []
            errors = [client.get(f"/v1/chat/{session}/events").json()["error"] for session in ("mine", "none")]
            assert errors[0] == errors[1]
            assert client.delete("/v1/chat/mine").status_code == 204
    with extractive.client(owner) as client:
        assert client.get("/v1/chat/mine").json() == mine


def test_what_is_outside_what_is_allowed_is_refused(extractive: Server) -> None:
    with extractive.client(extractive.key()) as client:
        for path, body, status in [
            ("/v1/chat/a%20b", {"question": "q"}, 422),
            ("/v1/chat/" + "a" * 65, {"question": "q"}, 422),
            ("/v1/chat/s", {"question": ""}, 422),
            ("/v1/chat/s", {"question": " \u200b"}, 422),
            ("/v1/chat/s", {"question": "q", "top": 1}, 422),
            ("/v1/chat/s", {"question": "q", "departments": ["재무"]}, 403),
        ]:
            response = client.post(path, json=body)
            assert response.status_code == status, (path, body, response.text)
            assert response.json()["error"]["message"]
        ask(client, QUESTION)
        assert client.get("/v1/chat/s/events", headers={"Last-Event-ID": "x"}).status_code == 422
    with httpx.Client(base_url=extractive.url) as nobody:
        assert nobody.get("/v1/chat/s").status_code == 401


def test_a_lost_sse_connection_resumes_to_the_same_text(slow: Server) -> None:
    with slow.client(slow.key()) as client:
        with client.stream("POST", "/v1/chat/s", json={"question": QUESTION}) as response:
            before = sse(response, lambda events: events[-1][1] == "delta")
        assert client.get("/v1/chat/s").json()["running"] is True
        busy = client.post("/v1/chat/s", json={"question": "둘째 질문"})
        assert (busy.status_code, busy.json()["error"]["code"]) == (409, "conflict")
        with client.stream("GET", "/v1/chat/s/events", headers={"Last-Event-ID": before[-1][0]}) as response:
            after = sse(response)
        with client.stream("GET", "/v1/chat/s/events") as response:
            whole = sse(response)
    assert whole == before + after
    text = "".join(data["text"] for _, event, data in whole if event == "delta")
    assert text == whole[-1][2]["text"]
    assert "25일" in text
    assert len(after) >= 3


def test_a_lost_websocket_resumes_to_the_same_text(slow: Server) -> None:
    key = slow.key()
    with slow.socket(key) as socket:
        socket.send(json.dumps({"question": QUESTION}))
        before = [json.loads(socket.recv(timeout=20))]
        socket.send(json.dumps({"question": "둘째 질문"}))
        while before[-1]["id"] is not None:
            before.append(json.loads(socket.recv(timeout=20)))
        busy = before.pop()
        assert (busy["event"], busy["data"]["error"]["code"]) == ("error", "conflict")
        assert busy["data"]["request_id"]
        socket.socket.shutdown(2)
    with slow.socket(key) as socket:
        socket.send(json.dumps({"resume": before[-1]["id"]}))
        after = received(socket)
        socket.send(json.dumps({"resume": 0}))
        whole = received(socket)
    assert whole == before + after
    assert text_of(whole) == whole[-1]["data"]["text"]
    with slow.client(key) as client:
        assert client.get("/v1/chat/s").json()["messages"][-1]["content"] == text_of(whole)


def test_the_llm_sees_the_turns_before_and_no_old_citation_numbers(slow: Server, llm: ChatServer) -> None:
    with slow.client(slow.key()) as client:
        ask(client, QUESTION)
        ask(client, "3년 이상 일하면 연차휴가의 한도는 며칠인가요?")
    system, first, reply, last = llm.requests[-1]["messages"]
    assert "앞선 대화는 질문을 이해하는 데에만" in system["content"]
    assert first == {"role": "user", "content": QUESTION}
    assert reply["role"] == "assistant"
    assert "15일입니다." in reply["content"]
    assert "[1]" not in reply["content"]
    assert "[1] 휴가규정.md" in last["content"]


def test_a_websocket_takes_the_key_as_subprotocol_and_holds_many_questions(extractive: Server) -> None:
    url = f"{extractive.url.replace('http', 'ws', 1)}/v1/chat/s"
    with connect(url, subprotocols=["llmflow", extractive.key()], open_timeout=20) as socket:  # type: ignore[list-item]
        assert socket.subprotocol == "llmflow"
        socket.send(json.dumps({"question": QUESTION}))
        first = received(socket)
        socket.send(json.dumps({"question": "그 한도는 며칠인가요?", "departments": ["인사"]}))
        second = received(socket)
    assert text_of(first) == first[-1]["data"]["text"]
    assert second[0]["event"] == "rewritten"
    assert second[0]["id"] > first[-1]["id"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("no json", "invalid_input"),
        ("{}", "invalid_input"),
        ('{"question": "q", "resume": 1}', "invalid_input"),
        ('{"question": "q", "tenant": "남"}', "invalid_input"),
        ('{"resume": -1}', "invalid_input"),
        ('{"resume": 0}', "not_found"),
        ('{"question": "q", "departments": ["재무"]}', "forbidden"),
    ],
)
def test_a_bad_message_is_answered_and_the_connection_goes_on(extractive: Server, message: str, code: str) -> None:
    with extractive.socket(extractive.key(), "bad") as socket:
        socket.send(message)
        (error,) = received(socket)
        assert (error["id"], error["event"], error["data"]["error"]["code"]) == (None, "error", code)
        socket.send(json.dumps({"question": QUESTION}))
        assert received(socket)[-1]["event"] == "finished"


def test_a_websocket_without_a_good_credential_or_session_is_refused(extractive: Server) -> None:
    for key, session, status in [("llmflow_nope_nope", "s", 401), (extractive.key(), "a%20b", 422)]:
        with pytest.raises(InvalidStatus) as caught:
            extractive.socket(key, session)
        assert caught.value.response.status_code == status
        assert json.loads(caught.value.response.body)["error"]["message"]


def test_an_open_websocket_ends_with_its_key(extractive: Server) -> None:
    key = extractive.key()
    with extractive.socket(key) as socket:
        socket.send(json.dumps({"question": QUESTION}))
        received(socket)
        extractive.runtime.keys.revoke("회사", key.split("_")[1])
        socket.send(json.dumps({"question": QUESTION}))
        assert received(socket)[-1]["data"]["error"]["code"] == "unauthenticated"
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=20)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1008


@pytest.mark.parametrize(("message", "code"), [("가" * 400_000, 1009), (b"\x00\x01", 1003)])
def test_a_message_too_large_or_no_text_closes_the_connection(
    extractive: Server, message: str | bytes, code: int
) -> None:
    with extractive.socket(extractive.key()) as socket:
        socket.send(message)
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=20)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == code


def test_an_idle_websocket_is_closed(extractive: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmflow.server.chat_socket.IDLE_S", 0.2)
    with extractive.socket(extractive.key()) as socket, pytest.raises(ConnectionClosed) as caught:
        socket.recv(timeout=20)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1000


def test_an_llm_that_dies_half_way_is_replaced_by_quotes(tmp_path: Path) -> None:
    broken = Reply(scripted(ANSWER).parts[:6])
    with (
        chat_server(broken) as llm,
        serving(tmp_path, llm={"base_url": llm.base_url, "retries": 0}) as server,
        server.socket(server.key()) as socket,
    ):
        socket.send(json.dumps({"question": QUESTION}))
        events = received(socket)
    names = [event["event"] for event in events]
    assert names[-1] == "finished"
    if "discarded" in names:
        events = events[names.index("discarded") + 1 :]
    assert text_of(events) == events[-1]["data"]["text"]
    assert events[-1]["data"]["mode"] == "extractive"
    assert events[-1]["data"]["degradations"]
