"""The endpoint's own models through the server: listed as they come and go, and passed through as they are."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from processes import environment, running
from scripted_endpoint import DONE, STUDENT, Endpoint, Reply, adapter, completion, event, piece
from served import serving

from llmflow.pii.masker import Masker
from llmflow.runtime import Runtime
from llmflow.schema import Role
from llmflow.server import sse
from llmflow.server.app import create_app
from llmflow.settings import Settings

SECRET = "the-endpoint's-own-key"
SILENCE_S = 1.0
MESSAGES = [{"role": "system", "content": "짧게."}, {"role": "user", "content": "김민준(010-2345-6789)의 연차는?"}]
STREAM = [piece(""), piece("네"), piece(".", "stop"), DONE]


@pytest.fixture(scope="module")
def scripted() -> Iterator[tuple[Endpoint, str]]:
    endpoint = Endpoint()
    with serving(endpoint.app) as url:
        yield endpoint, url


@pytest.fixture
def endpoint(scripted: tuple[Endpoint, str]) -> Endpoint:
    scripted[0].reset()
    return scripted[0]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, scripted: tuple[Endpoint, str]) -> Iterator[Runtime]:
    settings = Settings.model_validate({
        "data_dir": tmp_path_factory.mktemp("passing") / "data",
        "llm": {"base_url": f"{scripted[1]}/v1", "api_key": SECRET, "timeout_s": SILENCE_S, "breaker_failures": 100},
        "server": {"threads": 1},
        "graph": {"extraction": "rules"},
        "auth": {"requests_per_minute": 1_000_000, "burst": 1_000_000},
    })  # fmt: skip
    with Runtime(settings) as runtime:
        yield runtime


@pytest.fixture(scope="module")
def passing(served: Runtime) -> Iterator[httpx.Client]:
    key = served.keys.create("acme", ("hr",), Role.READER)[0]
    with serving(create_app(served)) as url, httpx.Client(base_url=url, timeout=30) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client


def body_of(**more: Any) -> dict[str, Any]:
    return {"model": "student", "messages": MESSAGES, **more}


def complete(client: httpx.Client, **more: Any) -> httpx.Response:
    return client.post("/v1/chat/completions", json=body_of(**more))


def listed(client: httpx.Client) -> dict[str, Any]:
    response = client.get("/v1/models")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


# The list


def test_models_come_and_go(passing: httpx.Client, endpoint: Endpoint) -> None:
    found = listed(passing)
    assert found["object"] == "list"
    assert found["llmflow"] == {"degradations": []}
    assert [each["id"] for each in found["data"]] == ["llmflow", "student", "hr"]
    ours, student, hr = found["data"]
    assert (ours["kind"], ours["owned_by"], ours["parent"], ours["max_model_len"]) == ("answers", "llmflow", None, None)
    expected = {"object": "model", "created": 7, "owned_by": "vllm", "max_model_len": 4096}
    assert student == {"id": "student", "kind": "student", "parent": None, **expected}
    assert hr == {"id": "hr", "kind": "adapter", "parent": "student", **expected}
    endpoint.models = [STUDENT, adapter("legal"), {"id": "llmflow"}, {"id": "bare"}]
    assert [each["id"] for each in listed(passing)["data"]] == ["llmflow", "student", "legal", "bare"]
    assert {each.headers["authorization"] for each in endpoint.received} == {f"Bearer {SECRET}"}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(trouble="hang"), "said nothing"),
        (Reply({"error": {"message": "engine is dead"}}, status=500), "engine is dead"),
        (Reply({"error": "Unauthorized"}, status=401), "llm.api_key"),
        (Reply(b"<html>", headers={"content-type": "text/html"}), "llm.base_url"),
        (Reply({"models": []}), "llm.base_url"),
        (Reply(trouble="cut"), "llm.base_url"),
    ],
)
def test_an_endpoint_that_does_not_tell_is_left_out(
    passing: httpx.Client, endpoint: Endpoint, reply: Reply, reason: str
) -> None:
    endpoint.replies["/v1/models"] = reply
    found = listed(passing)
    assert [each["id"] for each in found["data"]] == ["llmflow"]
    (degradation,) = found["llmflow"]["degradations"]
    assert degradation["stage"] == "llm"
    assert reason in degradation["reason"]


def test_an_endpoint_without_a_list_serves_the_model_of_the_settings(passing: httpx.Client, endpoint: Endpoint) -> None:
    endpoint.replies["/v1/models"] = Reply({"detail": "Not Found"}, status=404)
    assert [each["id"] for each in listed(passing)["data"]] == ["llmflow", "llmflow-student"]
    assert complete(passing, model="llmflow-student").status_code == 200
    assert complete(passing, model="gpt-4").status_code == 404


# What is passed on


def test_the_request_and_the_answer_stay_as_they_are(passing: httpx.Client, endpoint: Endpoint) -> None:
    calls = [{"id": "call-1", "type": "function", "function": {"name": "route_to_hr", "arguments": '{"q": "연차"}'}}]
    answer = json.dumps(completion({"content": None, "tool_calls": calls}), indent=1).encode()
    endpoint.replies["/v1/chat/completions"] = Reply(answer, headers={"content-type": "application/json"})
    tool = {"type": "function", "function": {"name": "route_to_hr", "parameters": {"type": "object"}}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    asked = body_of(
        model="hr",
        messages=[
            *MESSAGES,
            {"role": "tool", "tool_call_id": "x", "content": "5"},
            {"role": "user", "content": [image]},
        ],
        tools=[tool],
        tool_choice={"type": "function", "function": {"name": "route_to_hr"}},
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        n=2,
        temperature=0.1,
        chat_template_kwargs={"enable_thinking": False},
    )
    raw = json.dumps(asked, indent=2).encode()
    headers = {"Content-Type": "application/json", "Cookie": "a=b", "OpenAI-Organization": "acme"}
    response = passing.post("/v1/chat/completions", content=raw, headers=headers)
    assert (response.status_code, response.content) == (200, answer)
    assert response.headers["content-type"] == "application/json"
    (received,) = endpoint.asked()
    assert received.body == raw
    assert received.headers["authorization"] == f"Bearer {SECRET}"
    key = passing.headers["authorization"].removeprefix("Bearer ")
    assert key not in str(received.headers)
    assert not {"cookie", "openai-organization"} & set(received.headers)


def test_a_stream_comes_as_it_is_made(passing: httpx.Client, endpoint: Endpoint) -> None:
    gate = threading.Event()
    usage = event({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 2}})
    events = [*STREAM[:-1], usage, DONE]
    endpoint.replies["/v1/chat/completions"] = Reply(events=events, gate=gate)
    with passing.stream("POST", "/v1/chat/completions", json=body_of(stream=True)) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        parts = response.iter_raw()
        got = next(parts)
        assert got == events[0]
        gate.set()
        assert got + b"".join(parts) == b"".join(events)


def test_events_in_another_dress(passing: httpx.Client, endpoint: Endpoint) -> None:
    text = b": hello\r\n\r\nevent: x\r\ndata: " + piece("\u2028네", "stop").removeprefix(b"data: ").replace(
        b"\n", b"\r\n"
    )
    endpoint.replies["/v1/chat/completions"] = Reply(events=[bytes([byte]) for byte in text])
    assert complete(passing, stream=True).content == text


@pytest.mark.parametrize("stream", [False, True])
def test_the_call_ends_when_the_client_goes(passing: httpx.Client, endpoint: Endpoint, stream: bool) -> None:
    endpoint.replies["/v1/chat/completions"] = Reply(events=STREAM[:1] if stream else (), trouble="hang")
    with pytest.raises(httpx.ReadTimeout):
        passing.post("/v1/chat/completions", json=body_of(stream=stream), timeout=0.3)
    assert endpoint.gone.wait(0.5)


def test_generations_take_no_thread_of_questions(passing: httpx.Client, endpoint: Endpoint) -> None:
    gate = threading.Event()
    endpoint.replies["/v1/chat/completions"] = Reply(events=STREAM, gate=gate)
    with (
        passing.stream("POST", "/v1/chat/completions", json=body_of(stream=True)) as one,
        passing.stream("POST", "/v1/chat/completions", json=body_of(stream=True)) as two,
    ):
        assert passing.post("/v1/retrieve", json={"query": "연차"}).status_code == 200
        gate.set()
        assert one.read() == two.read() == b"".join(STREAM)


# What goes wrong


@pytest.mark.parametrize(
    ("reply", "status", "code", "words"),
    [
        (Reply({"error": {"message": "temperature is 9", "param": "temperature"}}, status=400), 422, "invalid_input",
         "temperature is 9"),
        (Reply({"object": "error", "message": "too long"}, status=400), 422, "invalid_input", "too long"),
        (Reply({"detail": [{"msg": "odd"}]}, status=422), 422, "invalid_input", "odd"),
        (Reply({"error": {"message": "bad key"}}, status=401), 503, "upstream", "llm.api_key"),
        (Reply({"error": "no"}, status=403), 503, "upstream", "llm.api_key"),
        (Reply({"detail": "Not Found"}, status=404), 503, "upstream", "llm.base_url"),
        (Reply(b"<html>busy</html>", status=429, headers={"Retry-After": "17"}), 503, "upstream", "busy"),
        (Reply({"error": {"message": "engine is dead"}}, status=500), 503, "upstream", "engine is dead"),
        (Reply({"error": {"message": "loading"}}, status=503), 503, "upstream", "loading"),
        (Reply(b"<html>", headers={"content-type": "text/html"}), 503, "upstream", "llm.base_url"),
        (Reply(b"{", headers={"content-type": "application/json"}), 503, "upstream", "llm.base_url"),
        (Reply(trouble="cut"), 503, "upstream", "llm.base_url"),
        (Reply(trouble="hang"), 503, "upstream", "llm.timeout_s=1 s"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_errors_before_the_answer(
    passing: httpx.Client, endpoint: Endpoint, reply: Reply, status: int, code: str, words: str, stream: bool
) -> None:
    endpoint.replies["/v1/chat/completions"] = reply
    response = complete(passing, stream=stream)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert words in error["message"]
    assert SECRET not in response.text
    if status == 503:
        assert response.headers["retry-after"] == reply.headers.get("Retry-After", "5")
    if "param" in str(reply.body):
        assert error["param"] == "temperature"


@pytest.mark.parametrize("trouble", ["cut", "hang", None])
def test_an_answer_that_breaks_off_ends_with_an_error(passing: httpx.Client, endpoint: Endpoint, trouble: Any) -> None:
    endpoint.replies["/v1/chat/completions"] = Reply(events=[*STREAM[:2], b'data: {"cho'], trouble=trouble)
    response = passing.post("/v1/chat/completions", json=body_of(stream=True), headers={"X-Request-ID": "r1"})
    assert response.content.startswith(b"".join(STREAM[:2]) + b"data: ")
    last = json.loads(response.content.removeprefix(b"".join(STREAM[:2])).removeprefix(b"data: "))
    assert (last["error"]["code"], last["request_id"]) == ("upstream", "r1")


def test_an_error_of_the_endpoint_within_the_stream_is_passed_on(passing: httpx.Client, endpoint: Endpoint) -> None:
    events = [STREAM[0], event({"error": {"message": "engine died", "code": 500}}), DONE]
    endpoint.replies["/v1/chat/completions"] = Reply(events=events)
    assert complete(passing, stream=True).content == b"".join(events)


def test_long_words_of_the_endpoint_and_of_callers_are_cut(passing: httpx.Client, endpoint: Endpoint) -> None:
    refusal = {"error": {"message": "가" * 100_000, "param": "나" * 100_000}}
    endpoint.replies["/v1/chat/completions"] = Reply(refusal, status=400)
    refused = complete(passing).json()["error"]
    assert (refused["message"].endswith("가..."), len(refused["message"]) < 2_100) == (True, True)
    assert refused["param"] is None
    endpoint.models = [adapter(f"a{number}") for number in range(1000)]
    for path in ("chat/completions", "tokenize"):
        unknown = passing.post(f"/v1/{path}", json=body_of(model="x" * 100_000)).json()["error"]
        assert "'a19' and 980 more" in unknown["message"]
        assert len(unknown["message"]) < 1_000


def test_cookies_of_the_endpoint_are_nobodys(passing: httpx.Client, endpoint: Endpoint) -> None:
    endpoint.replies["/v1/chat/completions"] = Reply(completion({}), headers={"Set-Cookie": "session=1; Path=/"})
    for _ in range(2):
        assert "set-cookie" not in complete(passing).headers
    assert all("cookie" not in each.headers for each in endpoint.asked())


def test_a_client_that_does_not_read_loses_its_place(
    scripted: tuple[Endpoint, str], endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "SEND_S", 0.5)
    endpoint.replies["/v1/chat/completions"] = Reply(events=[piece("x" * 1000)] * 50_000)
    settings = Settings.model_validate({
        "data_dir": tmp_path, "llm": {"base_url": f"{scripted[1]}/v1"}, "server": {"concurrency": 1},
        "auth": {"requests_per_minute": 1_000_000, "burst": 1_000_000},
    })  # fmt: skip
    with Runtime(settings) as runtime, serving(create_app(runtime)) as url:
        headers = {"Authorization": f"Bearer {runtime.keys.create('acme', ('hr',), Role.READER)[0]}"}
        with (
            httpx.Client(headers=headers) as client,
            client.stream("POST", f"{url}/v1/chat/completions", json=body_of(stream=True)),
        ):
            for status in (503, 200):
                deadline = time.monotonic() + 10
                while client.get(f"{url}/v1/me").status_code != status:
                    assert time.monotonic() < deadline
                    time.sleep(0.02)


def test_an_unknown_model(passing: httpx.Client, endpoint: Endpoint) -> None:
    response = complete(passing, model="gpt-4")
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (404, "not_found", "model")
    assert "serves 'student', 'hr'" in error["message"]
    assert endpoint.asked() == []
    assert complete(passing, model="hr").status_code == 200
    endpoint.models = [STUDENT]
    endpoint.replies["/v1/chat/completions"] = Reply({"error": {"message": "does not exist"}}, status=404)
    gone = complete(passing, model="hr")
    assert gone.status_code == 404
    assert gone.json()["error"]["message"].endswith("serves 'student'")


@pytest.mark.parametrize("body", [{}, {"model": 3}, {"model": "student"}, {"model": "student", "messages": []}])
def test_a_request_that_is_none(passing: httpx.Client, endpoint: Endpoint, body: dict[str, Any]) -> None:
    response = passing.post("/v1/chat/completions", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid_input")
    assert endpoint.received == []


def test_without_an_endpoint(client: httpx.Client) -> None:
    assert [each["id"] for each in listed(client)["data"]] == ["llmflow"]
    assert listed(client)["llmflow"] == {"degradations": []}
    for path, body in (("chat/completions", body_of()), ("tokenize", body_of())):
        response = client.post(f"/v1/{path}", json=body)
        assert (response.status_code, response.json()["error"]["param"]) == (404, "model")
        assert "llm.base_url" in response.json()["error"]["message"]


def test_an_endpoint_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        llm = {"base_url": url, "breaker_failures": 2, "api_key": SECRET}
        settings = Settings.model_validate({"data_dir": tmp_path, "llm": llm})
        with Runtime(settings) as runtime, serving(create_app(runtime)) as server:
            key = runtime.keys.create("acme", ("hr",), Role.READER)[0]
            with httpx.Client(base_url=server, headers={"Authorization": f"Bearer {key}"}) as client:
                assert [each["id"] for each in listed(client)["data"]] == ["llmflow"]
                assert url in listed(client)["llmflow"]["degradations"][0]["reason"]
                refused = [complete(client, stream=stream) for stream in (False, True, False)]
                counted = client.post("/v1/tokenize", json={"model": "student", "prompt": "가나다"})
    assert [each.status_code for each in refused] == [503, 503, 503]
    assert {each.json()["error"]["code"] for each in refused} == {"upstream"}
    assert [each.headers["retry-after"] for each in refused] == ["5", "5", "30"]  # the breaker has opened
    assert counted.json() == {"model": "student", "count": 2, "max_model_len": None, "exact": False}


# What is told beside the answer


def steps_of(client: httpx.Client) -> dict[str, Any]:
    """The only step of the newest trace."""
    newest = client.get("/v1/traces", params={"limit": 1}).json()["traces"][0]
    (root,) = client.get(f"/v1/traces/{newest['trace_id']}").json()["roots"]
    found: dict[str, Any] = root
    return found


def test_a_completion_is_traced_with_personal_data_masked(passing: httpx.Client, endpoint: Endpoint) -> None:
    complete(passing)
    whole = steps_of(passing)
    assert (whole["name"], whole["kind"], whole["level"]) == ("complete", "generation", "DEFAULT")
    assert whole["input"] == "[PERSON]([PHONE_NUMBER])의 연차는?"
    assert whole["metadata"] == {"model.name": "student", "usage_details": {"input": 11, "output": 5}}
    usage = event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}})
    endpoint.replies["/v1/chat/completions"] = Reply(events=[*STREAM[:-1], usage, DONE])
    complete(passing, stream=True)
    assert steps_of(passing)["metadata"]["usage_details"] == {"input": 9, "output": 2}
    endpoint.replies["/v1/chat/completions"] = Reply(events=STREAM[:1], trouble="cut")
    complete(passing, stream=True)
    assert steps_of(passing)["level"] == "WARNING"
    endpoint.replies["/v1/chat/completions"] = Reply({"error": {"message": "engine is dead"}}, status=500)
    complete(passing)
    assert (steps_of(passing)["level"], "engine is dead" in steps_of(passing)["message"]) == ("ERROR", True)


def test_what_errors_quote_is_masked_in_traces(passing: httpx.Client, endpoint: Endpoint) -> None:
    quoted = {"error": {"message": "bad prompt: 김민준(010-2345-6789)"}}
    for reply in (
        Reply(quoted, status=400),
        Reply(quoted, status=500),
        Reply(b"010-2345-6789", headers={"content-type": "text/html"}),
        Reply(events=[STREAM[0], event(quoted), DONE]),
    ):
        endpoint.replies["/v1/chat/completions"] = reply
        complete(passing, stream=True)
        step = steps_of(passing)
        assert "[PHONE_NUMBER]" in step["message"]
        assert "2345" not in str(step)
        assert step["metadata"]["model.name"] == "student"
    complete(passing, model="김민준(010-2345-6789)")
    assert steps_of(passing)["level"] == "ERROR"
    assert "2345" not in str(steps_of(passing))


def test_without_traces_nothing_is_masked(
    scripted: tuple[Endpoint, str], endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(masker: Masker, text: str) -> None:
        raise AssertionError("nobody keeps it")

    llm = {"base_url": f"{scripted[1]}/v1"}
    settings = Settings.model_validate({"data_dir": tmp_path, "llm": llm, "tracing": {"enabled": False}})
    with Runtime(settings) as runtime, serving(create_app(runtime)) as url:
        monkeypatch.setattr(Masker, "mask", refuse)
        key = runtime.keys.create("acme", ("hr",), Role.READER)[0]
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}) as client:
            assert complete(client).status_code == 200


def test_requests_on_one_connection_have_traces_of_their_own(
    scripted: tuple[Endpoint, str], endpoint: Endpoint, tmp_path: Path
) -> None:
    """A long request, which uvicorn reads in pieces, must not leave its step to the connection's next one."""
    with Runtime(Settings.model_validate({"data_dir": tmp_path / "data"})) as runtime:
        keys = {tenant: runtime.keys.create(tenant, ("hr",), Role.READER)[0] for tenant in ("acme", "beta")}
    env = environment(tmp_path / "data", TRACING__ENABLED="true", LLM__BASE_URL=f"{scripted[1]}/v1")
    with (
        running(env, tmp_path, "serve") as process,
        httpx.Client(base_url=process.url(), timeout=30, limits=httpx.Limits(max_connections=1)) as client,
    ):
        said = {"acme": "x" * 400_000, "beta": "short"}
        for tenant in ("acme", "beta", "acme", "beta"):
            client.headers["Authorization"] = f"Bearer {keys[tenant]}"
            assert complete(client, messages=[{"role": "user", "content": said[tenant]}]).status_code == 200
        ids = []
        for tenant in keys:
            client.headers["Authorization"] = f"Bearer {keys[tenant]}"
            traces = client.get("/v1/traces").json()["traces"]
            assert [trace["observations"] for trace in traces] == [1, 1]
            ids += [trace["trace_id"] for trace in traces]
        assert len(set(ids)) == 4


# Tokens


def test_tokens_are_those_of_the_model(passing: httpx.Client, endpoint: Endpoint) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    asked: dict[str, Any] = {"model": "hr", "messages": MESSAGES, "tools": tools}
    response = passing.post("/v1/tokenize", json=asked)
    assert response.json() == {"model": "hr", "count": 12, "max_model_len": 4096, "exact": True}
    (received,) = endpoint.asked("/tokenize")
    assert json.loads(received.body) == asked
    assert received.headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        ({"prompt": "가나다라 abcdefg 12"}, 2 + 2 + 1),
        ({"prompt": ""}, 0),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "가나"}, {"type": "image_url"}]}]}, 1),
        ({"messages": [{"role": "user", "content": "가나"}], "tools": [{"a": "가나"}]}, 1 + 1 + 1 + 9),
    ],
)
@pytest.mark.parametrize("why", ["ours", "no vllm", "away", "nonsense"])
def test_tokens_are_estimated_where_nobody_tells(
    passing: httpx.Client, endpoint: Endpoint, prompt: dict[str, Any], count: int, why: str
) -> None:
    model, window = ("llmflow", None) if why == "ours" else ("student", 4096)
    if why == "no vllm":
        endpoint.models = [{**STUDENT, "owned_by": "else"}]
    listed(passing)
    if why == "away":
        endpoint.replies["/tokenize"] = Reply({"error": "x"}, status=500)
    if why == "nonsense":
        endpoint.replies["/tokenize"] = Reply({"tokens": []})
    response = passing.post("/v1/tokenize", json={"model": model, **prompt})
    assert response.json() == {"model": model, "count": count, "max_model_len": window, "exact": False}


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "gpt-4", "prompt": "x"}, 404, "model"),
        ({"model": "student"}, 422, "messages"),
        ({"model": "student", "prompt": "x", "messages": MESSAGES}, 422, "messages"),
        ({"model": "student", "prompt": "x", "tools": []}, 422, "tools"),
        ({"model": "student", "messages": []}, 422, "messages"),
        ({"model": "student", "prompt": "x", "add_special_tokens": True}, 422, "add_special_tokens"),
    ],
)
def test_a_bad_request_for_tokens(
    passing: httpx.Client, endpoint: Endpoint, body: dict[str, Any], status: int, param: str
) -> None:
    response = passing.post("/v1/tokenize", json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (status, param)


def test_parts_that_are_no_texts_count_nothing(passing: httpx.Client) -> None:
    parts = [{"type": "text", "text": text} for text in (5, None, ["x"], "가나다")]
    body = {"model": "llmflow", "messages": [{"role": "user", "content": [*parts, "x"]}]}
    response = passing.post("/v1/tokenize", json=body)
    assert (response.status_code, response.json()["count"]) == (200, 2)


def test_half_a_character_in_a_prompt(passing: httpx.Client, endpoint: Endpoint) -> None:
    for path in ("/v1/tokenize", "/v1/chat/completions"):
        raw = rb'{"model": "student", "messages": [{"role": "user", "content": "\ud83d"}]}'
        assert passing.post(path, content=raw, headers={"Content-Type": "application/json"}).status_code == 200


def test_a_prompt_that_the_endpoint_refuses(passing: httpx.Client, endpoint: Endpoint) -> None:
    endpoint.replies["/tokenize"] = Reply({"error": {"message": "no such role"}}, status=400)
    response = passing.post("/v1/tokenize", json={"model": "student", "messages": MESSAGES})
    assert (response.status_code, "no such role" in response.text) == (422, True)
