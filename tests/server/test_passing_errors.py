"""What goes wrong between the server and the endpoint whose models it passes through."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from passing_requests import SECRET, STREAM, body_of, complete, listed
from scripted_endpoint import DONE, STUDENT, Endpoint, Reply, adapter, completion, event, piece
from served import serving

from llmflow.runtime import Runtime
from llmflow.schema import Role
from llmflow.server import sse
from llmflow.server.app import create_app
from llmflow.settings import Settings


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
