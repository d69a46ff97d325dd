"""Size and hash of a stream, taken while it is read."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from llmflow.stores.objects.protocol import StoredObject


class Measured:
    """A stream that counts and hashes what is read of it."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self._size = 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes, ``size`` at most, all without one; none at the end."""
        block = self._source.read(size)
        self._digest.update(block)
        self._size += len(block)
        return block

    def stored(self, key: str) -> StoredObject:
        """What was read, stored under ``key``."""
        return StoredObject(key, self._size, self._digest.hexdigest())


@contextmanager
def measured(content: Path | bytes | BinaryIO) -> Iterator[Measured]:
    """A file, bytes or an open stream, to be read; only the file is closed at the end."""
    if isinstance(content, Path):
        with content.open("rb") as source:
            yield Measured(source)
    else:
        yield Measured(io.BytesIO(content) if isinstance(content, bytes) else content)
