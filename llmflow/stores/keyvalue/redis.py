"""The key-value store on a Redis server, of any version: plain commands and one script."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from llmflow.errors import ConfigurationError, UpstreamError
from llmflow.stores.keyvalue.protocol import Permit

_CONNECT_TIMEOUT_S = 1.0
_COMMAND_TIMEOUT_S = 2.0
_QUIET_S = 1.0
_PREFIX = "llmflow:"
"""Apart from whatever else lives in the same database of the server."""

# A bucket is a key that holds, and expires at, the microsecond when it is full again; a token taken
# puts that off. The server's clock counts, so that the clocks of several machines need not agree.
_TAKE = """
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now) + interval
local wait = full - now - burst * interval
if wait > 0 then return wait end
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
return 0
"""


class RedisStore:
    """See :class:`llmflow.stores.keyvalue.protocol.KeyValueStore`.

    The server is called by the first command. A command waits 1 s for a connection and 2 s for
    an answer; after a failure the next ones fail at once for a second, so that a server that
    hangs does not hold up everything that can go on without it.

    Args:
        url: ``redis://HOST:PORT/DB`` or ``rediss://...``, with redis-py's options as its query.
    """

    def __init__(self, url: str) -> None:
        try:
            if not re.fullmatch(r"/?\d*", urlsplit(url).path):
                raise ValueError("what follows the port is the number of a database")
            self._client = redis.Redis.from_url(
                url,
                socket_connect_timeout=_CONNECT_TIMEOUT_S,
                socket_timeout=_COMMAND_TIMEOUT_S,
                # A command that was cut off may have been carried out: tokens and messages do not count twice.
                retry=Retry(NoBackoff(), 0),
            )
            self._client.connection_pool.make_connection()
        except (ValueError, TypeError, redis.RedisError) as error:
            # Not the URL itself: it may hold a password.
            raise ConfigurationError(
                f"cannot use the key-value URL: {error}; allowed is redis://HOST:PORT/DB, or rediss:// for TLS",
                param="keyvalue.url",
            ) from None
        options = self._client.get_connection_kwargs()
        self._address = f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        self._take = self._client.register_script(_TAKE)
        self._quiet_until = 0.0

    def get(self, key: str) -> bytes | None:
        with self._calling():
            return cast("bytes | None", self._client.get(_PREFIX + key))

    def set(self, key: str, value: bytes, ttl_s: float) -> None:
        with self._calling():
            self._client.set(_PREFIX + key, value, px=_milliseconds(ttl_s))

    def add(self, key: str, value: bytes, ttl_s: float) -> bool:
        with self._calling():
            return bool(self._client.set(_PREFIX + key, value, px=_milliseconds(ttl_s), nx=True))

    def delete(self, *keys: str) -> None:
        if keys:
            with self._calling():
                self._client.delete(*(_PREFIX + key for key in keys))

    def push(self, key: str, values: Sequence[bytes], ttl_s: float, keep: int) -> list[bytes]:
        with self._calling(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.rpush(_PREFIX + key, *values)
            pipeline.lrange(_PREFIX + key, 0, -keep - 1)
            pipeline.ltrim(_PREFIX + key, -keep, -1)
            pipeline.pexpire(_PREFIX + key, _milliseconds(ttl_s))
            return cast("list[bytes]", pipeline.execute()[1])

    def items(self, key: str) -> list[bytes]:
        with self._calling():
            return cast("list[bytes]", self._client.lrange(_PREFIX + key, 0, -1))

    def put_fields(self, key: str, fields: Mapping[str, bytes], ttl_s: float) -> None:
        with self._calling(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.hset(_PREFIX + key, mapping={name: value for name, value in fields.items()})
            pipeline.pexpire(_PREFIX + key, _milliseconds(ttl_s))
            pipeline.execute()

    def fields(self, key: str) -> dict[str, bytes]:
        with self._calling():
            found = cast("dict[bytes, bytes]", self._client.hgetall(_PREFIX + key))
        return {name.decode(): value for name, value in found.items()}

    def field(self, key: str, name: str) -> bytes | None:
        with self._calling():
            return cast("bytes | None", self._client.hget(_PREFIX + key, name))

    def drop_fields(self, key: str, names: Sequence[str]) -> None:
        if names:
            with self._calling():
                self._client.hdel(_PREFIX + key, *names)

    def take(self, key: str, per_minute: float, burst: int) -> Permit:
        with self._calling():
            wait = cast(int, self._take(keys=[_PREFIX + key], args=[round(60e6 / per_minute), burst]))
        return Permit(wait == 0, wait / 1e6)

    def ping(self) -> None:
        self._quiet_until = 0.0
        with self._calling():
            self._client.ping()

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def _calling(self) -> Iterator[None]:
        if time.monotonic() < self._quiet_until:
            raise self._failed("it failed within the last second")
        try:
            yield
        except redis.RedisError as error:
            if isinstance(error, redis.ConnectionError | redis.TimeoutError):
                self._quiet_until = time.monotonic() + _QUIET_S
            raise self._failed(str(error)) from error

    def _failed(self, reason: str) -> UpstreamError:
        return UpstreamError(
            f"the key-value store at {self._address} failed: {reason}; see that the server runs and"
            " keyvalue.url names it",
            param="keyvalue.url",
        )


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
