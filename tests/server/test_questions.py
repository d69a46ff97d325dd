"""Passages and answers over HTTP: as JSON, as events, in OpenAI's form, extractive and with a language model."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import httpx
import pytest
from scripted_model import Model
from served import SAMPLES, TENANT, serving

from llmflow.runtime import Runtime
from llmflow.schema import Role, Scope
from llmflow.server.app import create_app
from llmflow.settings import Settings

QUESTION = "재택근무는 국외에서 가능한가요?"
FACT = "국외에서는 재택근무를 할 수 없다."
ALL = Scope(TENANT, ("인사", "보안"))


def events_of(text: str) -> list[tuple[str, Any]]:
    """Names and data of server-sent events; ``message`` where there is no name."""
    found = []
    for block in text.replace("\r\n", "\n").strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if fields:
            data = fields["data"]
            found.append((fields.get("event", "message"), data if data == "[DONE]" else json.loads(data)))
    return found


# Passages


def test_passages_are_those_of_the_runtime(client: httpx.Client, server_runtime: Runtime) -> None:
    body = client.post("/v1/retrieve", json={"query": QUESTION, "top_k": 3, "threshold": 0}).json()
    expected = json.loads(json.dumps(asdict(server_runtime.search(ALL, QUESTION, 3, 0))))
    assert body["candidates"] == expected["candidates"]
    assert body["query"] == expected["query"]
    assert set(body) == {"query", "candidates", "timings_ms", "degradations", "trace_id", "facts"}
    assert FACT in body["candidates"][0]["chunk"]["text"]


def test_departments_only_narrow(client: httpx.Client) -> None:
    def departments(*wanted: str) -> set[str]:
        body = {"query": "신청 승인 비밀번호 출장비", "threshold": 0, "top_k": 50, "departments": list(wanted)}
        response = client.post("/v1/retrieve", json=body)
        assert response.status_code == 200
        return {candidate["chunk"]["department"] for candidate in response.json()["candidates"]}

    assert departments("인사") == {"인사"}
    assert departments("보안", "인사") == {"보안", "인사"}
    for outside in ("재무", "INSA", ""):
        for path, body in (("/v1/retrieve", {"query": "x"}), ("/v1/answer", {"question": "x"})):
            refused = client.post(path, json={**body, "departments": ["인사", outside]})
            assert (refused.status_code, refused.json()["error"]["param"]) == (403, "departments")
    assert client.post("/v1/retrieve", json={"query": "x", "departments": []}).status_code == 422


def test_a_filter_is_applied_before_top_k(client: httpx.Client) -> None:
    def found(top_k: int, **condition: Any) -> list[str]:
        body = {"query": "신청 승인", "threshold": 0, "top_k": top_k, "filter": {"conditions": [condition]}}
        response = client.post("/v1/retrieve", json=body)
        assert response.status_code == 200, response.text
        return [candidate["chunk"]["document_name"] for candidate in response.json()["candidates"]]

    everything = client.post("/v1/retrieve", json={"query": "신청 승인", "threshold": 0, "top_k": 100}).json()
    names = [candidate["chunk"]["document_name"] for candidate in everything["candidates"]]
    assert len(set(names[:2])) < len(set(names))
    for name in set(names):
        only = found(2, name="name", comparison_operator="is", value=name)
        assert only == [name] * min(2, names.count(name))
    assert found(5, name="name", comparison_operator="is", value="없는 문서") == []
    wrong = {"query": "x", "filter": {"conditions": [{"name": "name", "comparison_operator": "like", "value": "x"}]}}
    assert client.post("/v1/retrieve", json=wrong).json()["error"]["param"] == "comparison_operator"


# Answers


def test_an_answer_with_its_evidence(client: httpx.Client) -> None:
    body = client.post("/v1/answer", json={"question": QUESTION, "cache": False}).json()
    assert (body["mode"], body["cached"]) == ("extractive", False)
    assert FACT in body["text"]
    (citation,) = body["citations"]
    passages = {each["chunk"]["id"]: each["chunk"]["text"] for each in body["retrieval"]["candidates"]}
    start, end = citation["span"]
    assert passages[citation["chunk_id"]][start:end] == citation["quote"] == FACT


@pytest.mark.parametrize("by", ["stream", "accept"])
def test_an_answer_as_events(client: httpx.Client, by: str) -> None:
    body = {"question": QUESTION, "cache": False, "stream": by == "stream"}
    headers = {"Accept": "text/event-stream"} if by == "accept" else {}
    response = client.post("/v1/answer", json=body, headers=headers)
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert response.headers["X-Request-ID"]
    events = events_of(response.text)
    assert [name for name, _ in events] == ["delta"] * (len(events) - 1) + ["finished"]
    answer = events[-1][1]
    assert "".join(data["text"] for _, data in events[:-1]) == answer["text"]
    assert answer["citations"][0]["quote"] == FACT
    assert answer["cached"] is False


def test_an_error_within_events_has_the_one_form(client: httpx.Client) -> None:
    response = client.post("/v1/answer", json={"question": " ", "stream": True}, headers={"X-Request-ID": "r1"})
    ((name, data),) = events_of(response.text)
    assert (name, data["error"]["code"], data["error"]["param"]) == ("error", "invalid_input", "query")
    assert data["request_id"] == "r1"


def test_a_repeated_question_is_answered_from_the_cache(client: httpx.Client) -> None:
    def ask(**more: Any) -> dict[str, Any]:
        body: dict[str, Any] = client.post(
            "/v1/answer", json={"question": "재택근무 장소는 어디인가요?", **more}
        ).json()
        return body

    def counted(result: str) -> float:
        lines = client.get("/metrics", headers={"Authorization": ""}).text.splitlines()
        (line,) = [line for line in lines if line.startswith(f'llmflow_cache_total{{result="{result}"}}')]
        return float(line.split()[-1])

    first = ask()
    hits = counted("hit")
    second = ask()
    assert (first["cached"], second["cached"], ask(cache=False)["cached"]) == (False, True, False)
    assert counted("hit") == hits + 1
    assert (second["text"], second["citations"]) == (first["text"], first["citations"])
    assert second["trace_id"] != first["trace_id"]


# OpenAI's form


def completion(*messages: Any, **more: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": each} if isinstance(each, str) else each for each in messages]
    return {"model": "llmflow", "messages": said, **more}


def test_models(client: httpx.Client) -> None:
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["llmflow"]


def test_a_completion(client: httpx.Client) -> None:
    parts = [{"type": "text", "text": "재택근무는"}, {"type": "text", "text": "국외에서 가능한가요?"}]
    body = completion({"role": "user", "content": parts, "name": "kim"}, temperature=0.3, tools=[], user="u")
    answer = client.post("/v1/chat/completions", json=body).json()
    (choice,) = answer["choices"]
    assert (answer["object"], answer["model"], choice["finish_reason"]) == ("chat.completion", "llmflow", "stop")
    assert FACT in choice["message"]["content"]
    assert choice["message"]["citations"][0]["quote"] == FACT
    assert answer["llmflow"]["mode"] == "extractive"
    assert len(answer["llmflow"]["trace_id"]) == 32
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > usage["prompt_tokens"] > 0


@pytest.mark.parametrize("usage", [True, False])
def test_a_streamed_completion(client: httpx.Client, usage: bool) -> None:
    more = {"stream_options": {"include_usage": True}} if usage else {}
    response = client.post("/v1/chat/completions", json=completion(QUESTION, stream=True, **more))
    events = events_of(response.text)
    assert {name for name, _ in events} == {"message"}
    *chunks, done = [data for _, data in events]
    assert done == "[DONE]"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    if usage:
        assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
        assert chunks[-1]["choices"] == []
        assert chunks.pop()["usage"]["completion_tokens"] > 0
    else:
        assert all("usage" not in chunk for chunk in chunks)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert FACT in "".join(delta.get("content", "") for delta in deltas)
    assert deltas[-1]["citations"][0]["quote"] == FACT
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert chunks[-1]["llmflow"]["mode"] == "extractive"


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (completion(QUESTION, n=2), 422, "n"),
        (completion({"role": "system", "content": "x"}), 422, "messages"),
        (completion(""), 422, "messages"),
        (completion(), 422, "messages"),
        ({**completion(QUESTION), "model": "gpt-4o"}, 404, "model"),
        (completion({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}), 422, None),
    ],
)
def test_completions_that_cannot_be(client: httpx.Client, body: Any, status: int, param: str | None) -> None:
    response = client.post("/v1/chat/completions", json=body)
    error = response.json()["error"]
    assert response.status_code == status
    assert {"message", "type", "param", "code"} <= set(error)
    assert param is None or error["param"] == param


def test_a_follow_up_question_is_understood(client: httpx.Client) -> None:
    first = client.post("/v1/chat/completions", json=completion("재택근무 신청은 언제까지 하나요?")).json()
    said = {"role": "assistant", "content": first["choices"][0]["message"]["content"]}
    body = completion(
        {"role": "system", "content": "짧게"}, "재택근무 신청은 언제까지 하나요?", said, "그럼 국외에서는요?"
    )
    answer = client.post("/v1/chat/completions", json=body).json()
    assert "국외" in answer["choices"][0]["message"]["content"]
    assert "재택근무" in answer["choices"][0]["message"]["content"]


# With a language model


@pytest.fixture(scope="module")
def model() -> Iterator[tuple[Model, str]]:
    model = Model()
    with serving(model.app) as url:
        yield model, url


@pytest.fixture(scope="module")
def generative(tmp_path_factory: pytest.TempPathFactory, model: tuple[Model, str]) -> Iterator[httpx.Client]:
    """A client of a server that has a language model."""
    settings = Settings.model_validate({
        "data_dir": tmp_path_factory.mktemp("generative"),
        "llm": {"base_url": f"{model[1]}/v1", "retries": 0},
        "auth": {"burst": 10_000},
    })  # fmt: skip
    with Runtime(settings) as runtime:
        scope = Scope("t", ("d",))
        assert [each.document.status for each in runtime.ingest(scope, "d", [SAMPLES / "재택근무규정.md"])] == ["ready"]
        headers = {"Authorization": f"Bearer {runtime.keys.create('t', ['d'], Role.READER)[0]}"}
        with serving(create_app(runtime)) as url, httpx.Client(base_url=url, headers=headers, timeout=30) as client:
            yield client


def say(model: tuple[Model, str], pieces: Sequence[str | None], pause_s: float = 0.0) -> Model:
    model[0].pieces, model[0].pause_s = list(pieces), pause_s
    return model[0]


def test_deltas_come_while_the_model_writes(generative: httpx.Client, model: tuple[Model, str]) -> None:
    say(model, [f"{FACT} [1]\n", "신청서에 적은 자택으로 한다. [1]\n"], pause_s=0.4)
    times = []
    body = {"question": QUESTION, "stream": True, "cache": False}
    with generative.stream("POST", "/v1/answer", json=body) as response:
        for line in response.iter_lines():
            if line.startswith("event:"):
                times.append((line, time.monotonic()))
    assert [name for name, _ in times[-2:]] == ["event: delta", "event: finished"]
    assert times[-1][1] - times[0][1] > 0.3


def test_a_model_that_fails_half_way_is_told(generative: httpx.Client, model: tuple[Model, str]) -> None:
    say(model, [f"{FACT} [1]\n다음 문장은 ", "이렇다. ", None])
    answer = {"question": QUESTION, "stream": True, "cache": False}
    events = events_of(generative.post("/v1/answer", json=answer).text)
    names = [name for name, _ in events]
    assert names.count("discarded") == 1
    after = events[names.index("discarded") + 1 :]
    assert after[-1][1]["mode"] == "extractive"
    assert after[-1][1]["degradations"][0]["stage"] == "llm"
    assert "".join(data["text"] for name, data in after if name == "delta") == after[-1][1]["text"]

    say(model, [f"{FACT} [1]\n다음 문장은 ", "이렇다. ", None])
    chunks = [
        data
        for _, data in events_of(
            generative.post("/v1/chat/completions", json=completion(f"{QUESTION} 알려 주세요", stream=True)).text
        )[:-1]
    ]
    assert any("discarded" in chunk.get("llmflow", {}) for chunk in chunks)
    assert chunks[-1]["llmflow"]["degradations"][0]["stage"] == "llm"


def test_the_model_sees_the_conversation(generative: httpx.Client, model: tuple[Model, str]) -> None:
    said = {"role": "assistant", "content": "가능하지 않습니다."}
    llm = say(model, [f"{FACT} [1]"])
    llm.requests.clear()
    generative.post("/v1/chat/completions", json=completion("우리 회사 이름은 무엇인가요?", said, QUESTION))
    messages = llm.requests[-1]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert "우리 회사 이름" in messages[1]["content"]
    assert messages[2]["content"] == "가능하지 않습니다."


def test_work_stops_when_the_client_goes(generative: httpx.Client, model: tuple[Model, str]) -> None:
    llm = say(model, [f"{number}번 문장이다. [1]\n" for number in range(200)], pause_s=0.05)
    body = {"question": QUESTION, "stream": True, "cache": False}
    with generative.stream("POST", "/v1/answer", json=body) as response:
        next(response.iter_lines())
    time.sleep(1.0)
    stopped = llm.sent
    time.sleep(0.5)
    assert llm.sent == stopped < 60
    say(model, [f"{FACT} [1]"])
    assert generative.post("/v1/answer", json={"question": QUESTION, "cache": False}).json()["mode"] == "generative"
