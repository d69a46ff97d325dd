"""The key-value store in one SQLite file, for a single machine."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any

from llmflow.errors import ConfigurationError, UpstreamError
from llmflow.stores.keyvalue.protocol import Permit

_SCHEME = "sqlite:///"
_BUSY_TIMEOUT_S = 5.0
_PRUNED_AT_ONCE = 100

# A key has an expiry and parts: one without a name for a string, numbered ones for a list, named
# ones for a hash, none for a bucket. Times are whole microseconds since the epoch: sums are exact.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keys_by_expiry ON keys (expires);
CREATE TABLE IF NOT EXISTS parts (
    key TEXT NOT NULL REFERENCES keys ON DELETE CASCADE,
    name NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (key, name)
);
"""
_UNNAMED = ""
_LIVING_PARTS = "SELECT name, value FROM parts JOIN keys USING (key) WHERE key = ? AND expires > ?"


class SQLiteStore:
    """See :class:`llmflow.stores.keyvalue.protocol.KeyValueStore`.

    Safe between threads and processes of one machine: every thread at work has a connection of
    its own, writers queue. An answer that does not come within 5 s is an UpstreamError.

    Args:
        url: ``sqlite:///PATH``.
    """

    def __init__(self, url: str) -> None:
        path = url.removeprefix(_SCHEME)
        if not url.startswith(_SCHEME) or path in ("", ":memory:"):
            raise ConfigurationError(
                f"cannot use the key-value URL {url!r}: name a file, as in sqlite:///llmflow-keyvalue.db",
                param="keyvalue.url",
            )
        self._path = Path(path)
        self._idle: LifoQueue[sqlite3.Connection] = LifoQueue()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = self._connect()
            _use_wal(connection)
            connection.executescript(_SCHEMA)
            self._idle.put(connection)
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(
                f"cannot use {self._path} as key-value store: {error}; name a file that can be written,"
                " or remove one that is no SQLite database",
                param="keyvalue.url",
            ) from None

    def get(self, key: str) -> bytes | None:
        return self.field(key, _UNNAMED)

    def set(self, key: str, value: bytes, ttl_s: float) -> None:
        with self._writing(key) as (connection, now):
            connection.execute("DELETE FROM keys WHERE key = ?", (key,))
            _write(connection, key, now, ttl_s, [(_UNNAMED, value)])

    def add(self, key: str, value: bytes, ttl_s: float) -> bool:
        with self._writing(key) as (connection, now):
            if connection.execute("SELECT 1 FROM keys WHERE key = ?", (key,)).fetchone():
                return False
            _write(connection, key, now, ttl_s, [(_UNNAMED, value)])
            return True

    def delete(self, *keys: str) -> None:
        with self._writing() as (connection, _):
            connection.executemany("DELETE FROM keys WHERE key = ?", [(key,) for key in keys])

    def push(self, key: str, values: Sequence[bytes], ttl_s: float, keep: int) -> list[bytes]:
        with self._writing(key) as (connection, now):
            last = connection.execute("SELECT max(name) FROM parts WHERE key = ?", (key,)).fetchone()[0] or 0
            _write(connection, key, now, ttl_s, enumerate(values, last + 1))
            limit = last + len(values) - keep
            surplus = "FROM parts WHERE key = ? AND name <= ?"
            dropped = connection.execute(f"SELECT value {surplus} ORDER BY name", (key, limit)).fetchall()
            connection.execute(f"DELETE {surplus}", (key, limit))
            return [value for (value,) in dropped]

    def items(self, key: str) -> list[bytes]:
        return [value for _, value in self._read(f"{_LIVING_PARTS} ORDER BY name", key, _now())]

    def put_fields(self, key: str, fields: Mapping[str, bytes], ttl_s: float) -> None:
        with self._writing(key) as (connection, now):
            _write(connection, key, now, ttl_s, fields.items())

    def fields(self, key: str) -> dict[str, bytes]:
        return dict(self._read(_LIVING_PARTS, key, _now()))

    def field(self, key: str, name: str) -> bytes | None:
        rows = self._read(f"{_LIVING_PARTS} AND name = ?", key, _now(), name)
        return rows[0][1] if rows else None

    def drop_fields(self, key: str, names: Sequence[str]) -> None:
        with self._writing(key) as (connection, _):
            connection.executemany("DELETE FROM parts WHERE key = ? AND name = ?", [(key, name) for name in names])

    def take(self, key: str, per_minute: float, burst: int) -> Permit:
        # A bucket is a key that expires when it is full again; a token taken puts that off.
        interval = round(60e6 / per_minute)
        with self._writing(key) as (connection, now):
            row = connection.execute("SELECT expires FROM keys WHERE key = ?", (key,)).fetchone()
            full = (row[0] if row else now) + interval
            wait = full - now - burst * interval
            if wait > 0:
                return Permit(False, wait / 1e6)
            connection.execute("INSERT OR REPLACE INTO keys VALUES (?, ?)", (key, full))
            return Permit(True, 0.0)

    def ping(self) -> None:
        self._read("SELECT 1")

    def close(self) -> None:
        while connection := self._idle_connection():
            connection.close()

    def _read(self, statement: str, *values: Any) -> list[Any]:
        with self._connection() as connection:
            return connection.execute(statement, values).fetchall()

    @contextmanager
    def _writing(self, key: str = "") -> Iterator[tuple[sqlite3.Connection, int]]:
        """A transaction and the time in it; ``key`` is gone if it has expired, and some others are."""
        with self._connection() as connection:
            # Taking the write lock at the start makes writers queue instead of failing half way.
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                now = _now()
                connection.execute("DELETE FROM keys WHERE key = ? AND expires <= ?", (key, now))
                connection.execute(
                    "DELETE FROM keys WHERE key IN (SELECT key FROM keys WHERE expires <= ? LIMIT ?)",
                    (now, _PRUNED_AT_ONCE),
                )
                yield connection, now

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._idle_connection() or self._connect()
            try:
                yield connection
            finally:
                self._idle.put(connection)
        except sqlite3.Error as error:
            raise UpstreamError(
                f"the key-value store {self._path} failed: {error}; see that its disk has room and no program locks it",
                param="keyvalue.url",
            ) from error

    def _idle_connection(self) -> sqlite3.Connection | None:
        try:
            return self._idle.get_nowait()
        except Empty:
            return None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        connection.executescript("PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;" + _SCHEMA)
        return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not wait for others here, whatever its busy timeout.
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _write(
    connection: sqlite3.Connection, key: str, now: int, ttl_s: float, parts: Iterable[tuple[int | str, bytes]]
) -> None:
    connection.execute(
        "INSERT INTO keys VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET expires = excluded.expires",
        (key, now + round(ttl_s * 1e6)),
    )
    connection.executemany(
        "INSERT INTO parts VALUES (?, ?, ?) ON CONFLICT (key, name) DO UPDATE SET value = excluded.value",
        [(key, name, value) for name, value in parts],
    )


def _now() -> int:
    return time.time_ns() // 1000
