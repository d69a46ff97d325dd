"""Values that may be lost without losing a document: cached answers, chat history, rate limits.

One small interface (:mod:`.protocol`) over a SQLite file or any Redis. Nothing here knows what
the values mean; keys are built by whoever owns them, from the caller's scope.
"""

from __future__ import annotations

import re

from llmflow.errors import ConfigurationError
from llmflow.stores.keyvalue.protocol import KeyValueStore, Permit
from llmflow.stores.keyvalue.redis import RedisStore
from llmflow.stores.keyvalue.sqlite import SQLiteStore

__all__ = ["KeyValueStore", "Permit", "open_keyvalue"]

_PASSWORD = re.compile(r"(?<=:)[^:@/]*(?=@)")


def open_keyvalue(url: str) -> KeyValueStore:
    """The store at ``sqlite:///PATH`` or ``redis://HOST:PORT/DB`` (``rediss://`` with TLS).

    A SQLite file and its folder are made; a Redis server is called by the first command only,
    so that one that is down does not keep anything from starting.

    Raises:
        ConfigurationError: the URL is malformed, or the SQLite file cannot be used.
    """
    scheme = url.partition("://")[0]
    if scheme == "sqlite":
        return SQLiteStore(url)
    if scheme in ("redis", "rediss"):
        return RedisStore(url)
    raise ConfigurationError(
        f"cannot use the key-value URL {_PASSWORD.sub('***', url)!r}; allowed are sqlite:///PATH,"
        " redis://HOST:PORT/DB and rediss://HOST:PORT/DB",
        param="keyvalue.url",
    )
