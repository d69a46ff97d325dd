"""What cache, chat history and rate limits need of a store: a few plain commands any Redis has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class Permit(NamedTuple):
    """Whether a token was there; if not, the seconds until one will be."""

    granted: bool
    retry_after_s: float


class KeyValueStore(Protocol):
    """Values that may be lost: strings of bytes, lists and hashes by key, each with a time to live.

    Every command is atomic and safe between threads and processes. Keys are text; a caller
    builds them from its scope. A key is used for one kind of value. Expired values are gone.
    Times to live are above 0.

    Raises:
        UpstreamError: the server does not answer (every command).
    """

    def get(self, key: str) -> bytes | None:
        """The value, or None."""

    def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Write a value in place of whatever was there."""

    def add(self, key: str, value: bytes, ttl_s: float) -> bool:
        """Write a value where there is none; False where there is one."""

    def delete(self, *keys: str) -> None:
        """Remove values of any kind; absent keys are fine."""

    def push(self, key: str, values: Sequence[bytes], ttl_s: float, keep: int) -> list[bytes]:
        """Append to a list, keep its last ``keep`` values, and let it live ``ttl_s`` from now.

        Args:
            values: at least one.
            keep: at least 1.

        Returns:
            The values that fell out, oldest first.
        """

    def items(self, key: str) -> list[bytes]:
        """A list's values, oldest first; none where it is absent."""

    def put_fields(self, key: str, fields: Mapping[str, bytes], ttl_s: float) -> None:
        """Write fields (at least one) of a hash, and let all of it live ``ttl_s`` from now."""

    def fields(self, key: str) -> dict[str, bytes]:
        """All fields of a hash; none where it is absent."""

    def field(self, key: str, name: str) -> bytes | None:
        """One field of a hash, or None."""

    def drop_fields(self, key: str, names: Sequence[str]) -> None:
        """Remove fields of a hash; absent ones are fine."""

    def take(self, key: str, per_minute: float, burst: int) -> Permit:
        """Take a token from a bucket that holds ``burst`` and gains ``per_minute`` a minute.

        What a bucket has given is remembered as the time until it is full again (the generic cell
        rate algorithm, ITU-T I.371), so changed limits hold from the next call.
        """

    def ping(self) -> None:
        """Call the server now, whatever happened before; answer, or raise."""

    def close(self) -> None:
        """Release connections."""
