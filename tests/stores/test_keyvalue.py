from __future__ import annotations

import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmflow.errors import ConfigurationError, UpstreamError
from llmflow.stores.keyvalue import KeyValueStore, open_keyvalue

EVERY_BYTE = bytes(range(256)) + "휴가".encode()


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'made' / 'keyvalue.db'}"
    return str(request.getfixturevalue("redis_url"))


@pytest.fixture
def store(url: str) -> Iterator[KeyValueStore]:
    opened = open_keyvalue(url)
    yield opened
    opened.close()


@pytest.fixture
def key() -> str:
    """A key of this test alone: a Redis server may serve others at the same time."""
    return f"키\n*?[a]\0'; DROP TABLE keys; {uuid.uuid4()}"


def becomes(true: Callable[[], bool]) -> bool:
    """Wait until something is so, two seconds at most."""
    deadline = time.monotonic() + 2
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_a_string_comes_back_byte_for_byte(store: KeyValueStore, key: str) -> None:
    store.set(key, EVERY_BYTE, 60)
    store.set(key + "b", b"", 60)
    assert store.get(key) == EVERY_BYTE
    assert store.get(key + "b") == b""
    assert store.get(key + "A") is None


def test_set_replaces_value_and_time(store: KeyValueStore, key: str) -> None:
    store.set(key, b"old", 0.05)
    store.set(key, b"new", 60)
    time.sleep(0.1)
    assert store.get(key) == b"new"


def test_add_writes_only_where_nothing_lives(store: KeyValueStore, key: str) -> None:
    assert store.add(key, b"first", 0.05)
    assert not store.add(key, b"second", 60)
    assert store.get(key) == b"first"
    assert becomes(lambda: store.add(key, b"third", 60))
    assert store.get(key) == b"third"


def test_every_kind_of_value_expires(store: KeyValueStore, key: str) -> None:
    store.set(key + "string", b"x", 0.05)
    store.push(key + "list", [b"x"], 0.05, keep=10)
    store.put_fields(key + "hash", {"x": b"x"}, 0.05)
    assert becomes(lambda: store.get(key + "string") is None)
    assert becomes(lambda: store.items(key + "list") == [])
    assert becomes(lambda: store.fields(key + "hash") == {})
    assert store.field(key + "hash", "x") is None
    store.push(key + "list", [b"y"], 60, keep=10)
    store.put_fields(key + "hash", {"y": b"y"}, 60)
    assert store.items(key + "list") == [b"y"]
    assert store.fields(key + "hash") == {"y": b"y"}


def test_writing_prolongs_lists_and_hashes(store: KeyValueStore, key: str) -> None:
    store.push(key + "list", [b"1"], 0.05, keep=10)
    store.push(key + "list", [b"2"], 60, keep=10)
    store.put_fields(key + "hash", {"1": b"1"}, 0.05)
    store.put_fields(key + "hash", {"2": b"2"}, 60)
    time.sleep(0.1)
    assert store.items(key + "list") == [b"1", b"2"]
    assert store.fields(key + "hash") == {"1": b"1", "2": b"2"}


def test_delete_removes_every_kind(store: KeyValueStore, key: str) -> None:
    store.set(key + "string", b"x", 60)
    store.push(key + "list", [b"x"], 60, keep=10)
    store.put_fields(key + "hash", {"x": b"x"}, 60)
    store.set(key + "other", b"x", 60)
    store.delete(key + "string", key + "list", key + "hash", key + "absent")
    store.delete()
    assert (store.get(key + "string"), store.items(key + "list"), store.fields(key + "hash")) == (None, [], {})
    assert store.get(key + "other") == b"x"


def test_a_list_keeps_its_end_and_hands_back_the_rest(store: KeyValueStore, key: str) -> None:
    assert store.push(key, [b"1", EVERY_BYTE, b"3"], 60, keep=3) == []
    assert store.push(key, [b"4", b"5"], 60, keep=3) == [b"1", EVERY_BYTE]
    assert store.items(key) == [b"3", b"4", b"5"]
    assert store.push(key, [b"6", b"7", b"8"], 60, keep=1) == [b"3", b"4", b"5", b"6", b"7"]
    assert store.items(key) == [b"8"]


def test_a_list_of_more_than_ten_stays_in_order(store: KeyValueStore, key: str) -> None:
    values = [str(number).encode() for number in range(25)]
    for value in values:
        store.push(key, [value], 60, keep=100)
    assert store.items(key) == values


def test_fields_of_a_hash(store: KeyValueStore, key: str) -> None:
    store.put_fields(key, {"이름": EVERY_BYTE, "b": b"1"}, 60)
    store.put_fields(key, {"b": b"2", "": b"3"}, 60)
    assert store.fields(key) == {"이름": EVERY_BYTE, "b": b"2", "": b"3"}
    assert store.field(key, "이름") == EVERY_BYTE
    store.drop_fields(key, ["이름", "absent"])
    store.drop_fields(key, [])
    assert store.field(key, "이름") is None
    assert store.fields(key) == {"b": b"2", "": b"3"}


def test_a_second_opening_sees_the_same_values(store: KeyValueStore, key: str, url: str) -> None:
    store.set(key, b"x", 60)
    other = open_keyvalue(url)
    assert other.get(key) == b"x"
    other.close()


def test_of_many_threads_one_adds(store: KeyValueStore, key: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        added = list(threads.map(lambda number: store.add(key, str(number).encode(), 60), range(64)))
    assert sum(added) == 1
    assert store.get(key) == str(added.index(True)).encode()


def test_no_push_of_a_thread_is_lost(store: KeyValueStore, key: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: store.push(key, [str(number).encode()], 60, keep=1000), range(100)))
    assert sorted(map(int, store.items(key))) == list(range(100))


def test_a_bucket_gives_its_burst_then_one_token_at_a_time(store: KeyValueStore, key: str) -> None:
    permits = [store.take(key, per_minute=600, burst=120) for _ in range(121)]
    # Tokens come back meanwhile, one each 100 ms.
    assert all(permit.granted and permit.retry_after_s == 0 for permit in permits[:120])
    while (permit := store.take(key, per_minute=600, burst=120)).granted:
        pass
    assert 0 < permit.retry_after_s <= 0.1
    time.sleep(permit.retry_after_s + 0.002)
    assert store.take(key, per_minute=600, burst=120).granted
    assert store.take(key + "other", per_minute=600, burst=120).granted


def test_a_refusal_costs_no_token(store: KeyValueStore, key: str) -> None:
    assert store.take(key, per_minute=60, burst=1).granted
    waits = [store.take(key, per_minute=60, burst=1) for _ in range(20)]
    assert not any(permit.granted for permit in waits)
    assert 0 < waits[-1].retry_after_s <= waits[0].retry_after_s <= 1


def test_a_bucket_never_holds_more_than_its_burst(store: KeyValueStore, key: str) -> None:
    assert store.take(key, per_minute=60_000, burst=2).granted
    time.sleep(0.05)
    granted = [store.take(key, per_minute=6, burst=2).granted for _ in range(5)]
    assert granted == [True, True, False, False, False]


def test_threads_share_a_bucket(store: KeyValueStore, key: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        permits = list(threads.map(lambda _: store.take(key, per_minute=0.01, burst=30), range(100)))
    assert sum(permit.granted for permit in permits) == 30


TAKER = """
import sys
from llmflow.stores.keyvalue import open_keyvalue
store = open_keyvalue(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(sum(store.take(sys.argv[2], per_minute=0.01, burst=50).granted for _ in range(60)))
"""


def test_processes_share_a_bucket(url: str, key: str) -> None:
    command = [sys.executable, "-c", TAKER, url, key.partition("; ")[2]]
    takers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for taker in takers:
        assert taker.stdout is not None
        assert taker.stdout.readline() == "ready\n"
    for taker in takers:
        assert taker.stdin is not None
        taker.stdin.write("\n")
        taker.stdin.flush()
    granted = [int(taker.communicate(timeout=30)[0]) for taker in takers]
    assert sum(granted) == 50


def test_sqlite_opened_by_many_at_once(tmp_path: Path) -> None:
    for attempt in range(10):
        url = f"sqlite:///{tmp_path / f'{attempt}.db'}"
        gate = threading.Barrier(8)

        def use(number: int, url: str = url, gate: threading.Barrier = gate) -> None:
            gate.wait()
            store = open_keyvalue(url)
            store.push("a", [str(number).encode()], 60, keep=100)
            store.close()

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(use, range(8)))
        assert len(open_keyvalue(url).items("a")) == 8


def test_sqlite_forgets_what_expired(tmp_path: Path) -> None:
    path = tmp_path / "keyvalue.db"
    store = open_keyvalue(f"sqlite:///{path}")
    for number in range(50):
        store.put_fields(f"key {number}", {"a": b"x", "b": b"x"}, 0.02)
    time.sleep(0.05)
    store.set("another", b"x", 60)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM keys").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM parts").fetchone() == (1,)
    connection.close()
    store.close()


def test_sqlite_survives_a_failed_command(tmp_path: Path) -> None:
    store = open_keyvalue(f"sqlite:///{tmp_path / 'keyvalue.db'}")
    with pytest.raises(UpstreamError) as caught:
        store.set("a", None, 60)  # type: ignore[arg-type]
    assert caught.value.param == "keyvalue.url"
    store.set("a", b"x", 60)
    assert store.get("a") == b"x"


@pytest.mark.parametrize(
    "url",
    [
        "", "keyvalue.db", "sqlite://", "sqlite:///", "sqlite:///:memory:", "http://localhost", "redis://host:port/0",
        "redis://localhost/zero", "redis://localhost/0?no_such_option=1", "rediss://localhost?ssl_cert_reqs=perhaps",
    ],
)  # fmt: skip
def test_a_wrong_url_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_keyvalue(url)
    assert caught.value.param == "keyvalue.url"


def test_a_wrong_url_does_not_show_its_password() -> None:
    for url in ("redis://:secret@host:port/0", "postgresql://me:secret@host/0", "redis://:secret@host/zero"):
        with pytest.raises(ConfigurationError) as caught:
            open_keyvalue(url)
        assert "secret" not in caught.value.message


def test_an_unusable_sqlite_file_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database at all, but long enough to have a header" * 10)
    (tmp_path / "folder.db").mkdir()
    for path in (tmp_path / "text.db", tmp_path / "folder.db", tmp_path / "text.db" / "below.db"):
        with pytest.raises(ConfigurationError):
            open_keyvalue(f"sqlite:///{path}")


def test_a_dead_redis_is_noticed_by_the_first_command_only() -> None:
    store = open_keyvalue("redis://:secret@127.0.0.1:1/0")
    with pytest.raises(UpstreamError) as caught:
        store.get("a")
    assert caught.value.param == "keyvalue.url"
    assert "127.0.0.1:1" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_a_redis_that_comes_back_is_used_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    store = open_keyvalue(f"redis://127.0.0.1:{port}/0")
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            try:
                assert becomes(lambda: answers(store))
                store.set("a", b"x", 60)
                assert store.get("a") == b"x"
                assert store.take("b", per_minute=60, burst=1).granted
            finally:
                server.kill()
        with pytest.raises(UpstreamError):
            store.get("a")
    store.close()


def answers(store: KeyValueStore) -> bool:
    try:
        store.ping()
    except UpstreamError:
        return False
    return True


def test_a_redis_that_hangs_costs_one_wait_not_many() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = open_keyvalue(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        started = time.monotonic()
        for _ in range(10):
            with pytest.raises(UpstreamError):
                store.take("key", per_minute=60, burst=1)
        assert time.monotonic() - started < 4
        store.close()
