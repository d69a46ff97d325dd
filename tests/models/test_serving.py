from __future__ import annotations

import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from json_server import JSON, Answer, json_server
from pydantic import SecretStr

from llmflow.errors import UpstreamError
from llmflow.models.breaker import CircuitBreaker
from llmflow.models.serving import ModelServer, retry_after_s
from llmflow.settings import CallSettings


def client(url: str, api_key: str | None = None, **settings: float) -> ModelServer:
    values = {"timeout_s": 20.0, "retries": 2, "backoff_s": 0.0, "breaker_failures": 1000} | settings
    key = SecretStr(api_key) if api_key else None
    return ModelServer("test server", url, key, CallSettings.model_validate(values), "embedder.base_url")


def failure(server: ModelServer, **arguments: float) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        server.post("/x", {"a": 1}, **arguments)
    assert caught.value.param == "embedder.base_url"
    assert caught.value.message.startswith(f"test server {server.base_url}: ")
    return caught.value


def test_json_goes_there_and_comes_back() -> None:
    with json_server({"ok": [1, "둘"]}) as server:
        model = client(server.base_url + "/", api_key="secret")
        assert model.post("/embed", {"inputs": ["휴가"]}) == {"ok": [1, "둘"]}
        assert model.get("/info") == {"ok": [1, "둘"]}
        assert server.calls == [("/embed", {"inputs": ["휴가"]}), ("/info", None)]
        assert {headers["authorization"] for headers in server.headers} == {"Bearer secret"}
        model.close()
    with json_server({}) as server:
        client(server.base_url).get("/info")
        assert "authorization" not in server.headers[0]


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    with json_server(Answer(status=status), Answer(b"", trouble="cut"), {"ok": 1}) as server:
        assert client(server.base_url).post("/x", {}) == {"ok": 1}
        assert len(server.calls) == 3


def test_tries_come_to_an_end() -> None:
    with json_server(Answer({"error": "model is loading"}, status=503)) as server:
        error = failure(client(server.base_url))
        assert len(server.calls) == 3
        assert error.details == {"status": 503}
        assert "HTTP 503" in error.message
        assert "model is loading" in error.message


@pytest.mark.parametrize(
    ("status", "advice"), [(400, "model"), (401, "embedder.api_key"), (404, "embedder.base_url"), (422, "model")]
)
def test_a_refusal_is_told_at_once_and_does_not_open_the_breaker(status: int, advice: str) -> None:
    with json_server(Answer({"error": "no"}, status=status)) as server:
        model = client(server.base_url, breaker_failures=1)
        error = failure(model)
        assert len(server.calls) == 1
        assert error.details == {"status": status}
        assert advice in error.message
        assert model.breaker.state == "closed"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(b'{"a": '), "no valid JSON"),
        (Answer(b"\xff\xfe"), "no valid JSON"),
        (Answer(b"<html>", headers={"Content-Type": "text/html"}), "text/html instead of application/json"),
        (Answer(b"{}", headers={}), "without a content type"),
        (Answer(b"not gzip", headers=JSON | {"Content-Encoding": "gzip"}), "cannot be unpacked"),
        (Answer(b"", status=301, headers={"Location": "/elsewhere"}), "HTTP 301"),
    ],
)
def test_an_answer_in_no_known_form_is_an_error(answer: Answer, words: str) -> None:
    with json_server(answer) as server:
        assert words in failure(client(server.base_url)).message
        assert len(server.calls) == 1


def test_truncated_bytes_are_never_half_an_answer() -> None:
    with json_server(Answer(b'{"a": 1}', trouble="cut")) as server:
        error = failure(client(server.base_url))
        assert len(server.calls) == 3
        assert "status" not in error.details


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert "check that the server runs and that embedder.base_url is right" in failure(client(url)).message
    assert "correct embedder.base_url" in failure(client("http://[::1")).message


@pytest.mark.parametrize("trouble", ["hang", "drip"])
def test_the_deadline_holds_whatever_the_server_does(trouble: str) -> None:
    with json_server(Answer(b" ", trouble=trouble)) as server:  # type: ignore[arg-type]
        error = failure(client(server.base_url), deadline=time.monotonic() + 0.2)
        assert "gave no complete answer in time" in error.message
        assert "in time" in failure(client(server.base_url, timeout_s=0.2)).message
        assert len(server.calls) <= 2, "what took all the time there was cannot be tried again"


def test_no_pause_goes_beyond_the_deadline() -> None:
    with json_server(Answer(status=503, headers={"Retry-After": "3600"})) as server:
        assert "HTTP 503" in failure(client(server.base_url)).message
        assert len(server.calls) == 1
    with json_server(Answer(status=503)) as server:
        failure(client(server.base_url, backoff_s=3600))
        assert len(server.calls) == 1


@pytest.mark.parametrize("value", ["0", "Sun, 06 Nov 1994 08:49:37 GMT"])
def test_the_server_says_when_to_come_back(value: str) -> None:
    with json_server(Answer(status=429, headers={"Retry-After": value}), {"ok": 1}) as server:
        assert client(server.base_url, backoff_s=3600).post("/x", {}) == {"ok": 1}


def test_retry_after_in_both_forms() -> None:
    assert retry_after_s({"retry-after": " 7 "}) == 7
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3500 < (retry_after_s({"retry-after": later}) or 0) <= 3600
    assert retry_after_s({}) is None
    assert retry_after_s({"retry-after": "soon"}) is None
    assert retry_after_s({"retry-after": "-3"}) is None


def test_a_call_that_is_too_late_is_not_made() -> None:
    with json_server({}) as server:
        model = client(server.base_url, breaker_failures=1)
        assert "was not called" in failure(model, deadline=time.monotonic()).message
        assert server.calls == []
        assert model.breaker.state == "closed"


def test_an_open_breaker_answers_without_a_call() -> None:
    with json_server(Answer(status=500)) as server:
        model = client(server.base_url, retries=0, breaker_failures=2)
        failure(model)
        failure(model)
        error = failure(model)
        assert len(server.calls) == 2
        assert "failed 2 times within 60 s and is left alone until" in error.message
        assert 0 < error.details["retry_after_s"] <= 30


def test_a_call_stops_trying_when_the_breaker_opens() -> None:
    with json_server(Answer(status=500)) as server:
        assert "HTTP 500" in failure(client(server.base_url, retries=9, breaker_failures=3)).message
        assert len(server.calls) == 3


def test_after_the_pause_one_call_closes_it_again(clock: Clock) -> None:
    with json_server(Answer(status=500), {"ok": 1}) as server:
        model = client(server.base_url, retries=0)
        model.breaker = CircuitBreaker(CallSettings(breaker_failures=1, breaker_pause_s=30), clock)
        failure(model)
        assert "left alone" in failure(model).message
        clock.now = 30
        assert model.post("/x", {}) == {"ok": 1}
        assert model.breaker.state == "closed"
        assert len(server.calls) == 2


def test_calls_side_by_side_get_their_own_answers() -> None:
    with json_server(decide=lambda _, body: Answer(body)) as server:
        model = client(server.base_url)
        got: dict[int, object] = {}

        def call(first: int) -> None:
            for number in range(first, first + 10):
                got[number] = model.post("/echo", number)

        threads = [threading.Thread(target=call, args=(10 * n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got == {number: number for number in range(80)}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    settings = CallSettings(breaker_failures=3, breaker_window_s=10, breaker_pause_s=30)
    return CircuitBreaker(settings, clock)


def open_it(breaker: CircuitBreaker) -> None:
    for _ in range(3):
        assert breaker.wait_s() == 0
        breaker.failed()
    assert breaker.state == "open"


def test_a_breaker_opens_after_failures_within_the_window(breaker: CircuitBreaker, clock: Clock) -> None:
    for clock.now in (0.0, 5.0, 10.5):
        breaker.failed()
    assert breaker.state == "closed", "the first is out of the window"
    clock.now = 14.9
    breaker.failed()
    assert breaker.state == "open"
    assert breaker.wait_s() == 30
    clock.now = 44
    assert breaker.wait_s() == pytest.approx(0.9)


def test_half_open_one_call_tries(breaker: CircuitBreaker, clock: Clock) -> None:
    open_it(breaker)
    clock.now = 30
    assert breaker.wait_s() == 0
    assert breaker.state == "half-open"
    assert breaker.wait_s() == 30, "only one"
    breaker.succeeded()
    assert breaker.state == "closed"
    breaker.failed()
    breaker.failed()
    assert breaker.state == "closed", "earlier failures are forgotten"


def test_half_open_a_failure_opens_it_for_another_pause(breaker: CircuitBreaker, clock: Clock) -> None:
    open_it(breaker)
    clock.now = 31
    assert breaker.wait_s() == 0
    clock.now = 33
    breaker.failed()
    assert breaker.state == "open"
    assert breaker.wait_s() == 30


def test_a_try_that_never_ends_does_not_keep_it_open(breaker: CircuitBreaker, clock: Clock) -> None:
    open_it(breaker)
    clock.now = 30
    assert breaker.wait_s() == 0
    clock.now = 60
    assert breaker.wait_s() == 0


def test_late_failures_of_calls_from_before_change_nothing(breaker: CircuitBreaker, clock: Clock) -> None:
    open_it(breaker)
    clock.now = 20
    breaker.failed()
    assert breaker.wait_s() == 10


def test_one_of_many_threads_tries(clock: Clock, breaker: CircuitBreaker) -> None:
    open_it(breaker)
    clock.now = 30
    barrier, waits = threading.Barrier(8), list[float]()

    def ask() -> None:
        barrier.wait()
        waits.append(breaker.wait_s())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == [0, *[30] * 7]
