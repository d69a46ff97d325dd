"""What the rest of LLMFlow needs of an object store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from llmflow.schema import Scope


class StoredObject(NamedTuple):
    """What was stored: its size in bytes and the SHA-256 of what was actually read."""

    key: str
    size_bytes: int
    sha256: str


class ObjectStore(Protocol):
    """Bytes by key, each tenant's apart; for any number of threads and processes at once.

    A key is parts of lower-case letters, digits, ``.``, ``_`` and ``-``, joined by ``/``, and
    no key is the folder of another. A key outside that raises InvalidInputError in every method.

    Raises:
        UpstreamError: the store does not answer (every method).
        ConfigurationError: the store does not accept the credentials (every method).
    """

    def put(self, scope: Scope, key: str, content: Path | bytes | BinaryIO) -> StoredObject:
        """Store a file, bytes or an open stream, whole or not at all; an object there is replaced."""

    def open(self, scope: Scope, key: str) -> BinaryIO:
        """The object as a stream that is read forward, to be closed by the caller.

        Raises:
            NotFoundError: the tenant has no such object.
        """

    def exists(self, scope: Scope, key: str) -> bool:
        """Whether the tenant has the object."""

    def delete(self, scope: Scope, key: str) -> bool:
        """Delete the object; False where there was none."""

    def keys(self, scope: Scope, folder: str = "") -> Iterator[str]:
        """The tenant's keys in ascending order, all or those below ``folder`` (whole parts of a key)."""

    def ping(self) -> None:
        """Answer, or raise."""
