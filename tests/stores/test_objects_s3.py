from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from llmflow.errors import ConfigurationError, UpstreamError
from llmflow.schema import Scope
from llmflow.settings import S3Settings
from llmflow.stores.objects import ObjectStore
from llmflow.stores.objects.s3 import S3ObjectStore

ACME = Scope("acme", ("hr",))

CALLS: dict[str, Callable[[ObjectStore], object]] = {
    "put": lambda store: store.put(ACME, "k", b"content"),
    "open": lambda store: store.open(ACME, "k"),
    "exists": lambda store: store.exists(ACME, "k"),
    "delete": lambda store: store.delete(ACME, "k"),
    "keys": lambda store: list(store.keys(ACME)),
    "ping": lambda store: store.ping(),
}


def store_at(endpoint: str, **settings: str) -> ObjectStore:
    keys = {"access_key": "llmflow", "secret_key": "wrong", **settings}
    return S3ObjectStore(S3Settings(endpoint=endpoint, secure=False, **keys))  # type: ignore[arg-type]


@contextmanager
def http_server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[tuple[str, list[str]]]:
    """Answers every request alike; gives its address and the methods it was called with."""
    methods: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            methods.append(self.command)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer(self)

        do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", methods
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def unavailable(request: BaseHTTPRequestHandler) -> None:
    request.send_response(503)
    request.send_header("Content-Length", "0")
    request.end_headers()


def half(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    if request.command == "GET":
        request.wfile.write(b"x" * 500_000)
    request.close_connection = True


def website(request: BaseHTTPRequestHandler) -> None:
    request.send_response(404)
    request.send_header("Content-Type", "text/html")
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(b"<h1>Not found</h1>")


@pytest.fixture(scope="module")
def dead() -> ObjectStore:
    return store_at("127.0.0.1:9")


@pytest.mark.parametrize("call", CALLS)
def test_a_dead_server_is_named_by_every_call_and_not_by_the_start(dead: ObjectStore, call: str) -> None:
    with pytest.raises(UpstreamError, match=r"127\.0\.0\.1:9.*refused; check that it runs") as caught:
        CALLS[call](dead)
    assert caught.value.param == "objects.s3.endpoint"
    assert "acme" not in caught.value.message


def test_a_server_that_fails_is_asked_three_times() -> None:
    with http_server(unavailable) as (endpoint, methods), pytest.raises(UpstreamError, match="503"):
        store_at(endpoint).exists(ACME, "k")
    assert methods == ["HEAD"] * 3


@pytest.mark.parametrize("call", ["put", "open", "keys", "ping"])
def test_another_kind_of_server_is_not_taken_for_s3(call: str) -> None:
    with http_server(website) as (endpoint, _), pytest.raises(UpstreamError, match="non-XML"):
        CALLS[call](store_at(endpoint))


def test_an_object_cut_off_on_its_way_is_an_error_and_no_shorter_object() -> None:
    with http_server(half) as (endpoint, _), store_at(endpoint).open(ACME, "k") as stream:
        assert stream.read(100) == b"x" * 100
        with pytest.raises(UpstreamError, match="does not answer as it should"):
            stream.read()


def test_plain_http_where_https_is_expected_says_so() -> None:
    with http_server(website) as (endpoint, _):
        store = S3ObjectStore(S3Settings(endpoint=endpoint, access_key="a", secret_key="s"))  # type: ignore[arg-type]
        with pytest.raises(UpstreamError, match=r"objects\.s3\.secure"):
            store.ping()


@pytest.mark.parametrize(
    ("settings", "param"),
    [
        ({"endpoint": "http://s3.example.com"}, "objects.s3.endpoint"),
        ({"endpoint": "s3.example.com/path"}, "objects.s3.endpoint"),
        ({"endpoint": "s3.example.com", "bucket": "No_Good"}, "objects.s3.bucket"),
        ({"endpoint": "s3.example.com", "bucket": "192.168.1.1"}, "objects.s3.bucket"),
    ],
)
def test_what_names_no_endpoint_or_bucket_is_refused_at_the_start(settings: dict[str, str], param: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        store_at(**settings)
    assert caught.value.param == param


@pytest.fixture
def server() -> dict[str, str]:
    names = {"endpoint": "TEST_S3_ENDPOINT", "access_key": "TEST_S3_ACCESS_KEY", "secret_key": "TEST_S3_SECRET_KEY"}
    if not all(name in os.environ for name in names.values()):
        pytest.skip(f"{', '.join(names.values())} name no S3 server")
    return {key: os.environ[name] for key, name in names.items()}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("wrong", ["access_key", "secret_key"])
def test_keys_the_server_does_not_know_are_a_matter_of_settings(server: dict[str, str], wrong: str, call: str) -> None:
    store = store_at(**{**server, wrong: "wrong-wrong"})
    with pytest.raises(ConfigurationError, match="refuses the access key") as caught:
        CALLS[call](store)
    assert caught.value.param == "objects.s3"
    assert server["secret_key"] not in caught.value.message


def test_many_that_make_the_bucket_at_once_all_can_write(server: dict[str, str]) -> None:
    bucket, barrier = f"test-{uuid.uuid4().hex}", threading.Barrier(6)

    def write(number: int) -> None:
        store = store_at(**server, bucket=bucket)
        barrier.wait()
        store.put(ACME, f"a/{number}", b"")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    store = store_at(**server, bucket=bucket)
    keys = list(store.keys(ACME))
    assert keys == [f"a/{number}" for number in range(6)]
    assert all(store.delete(ACME, key) for key in keys)
