"""Original files, kept as they came.

An original's key is its document's id and the hash of its bytes. Two documents with the same
bytes keep one copy each: deleting a document then removes every trace of it and harms no
other, with no count of references that a killed process could leave wrong.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from llmflow.errors import InvalidInputError, NotFoundError
from llmflow.schema import Scope

_BLOCK = 1 << 20
_STALE_S = 3600.0
_INCOMING = ".incoming"
_PART = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-")


class StoredObject(NamedTuple):
    """What was stored: its size in bytes and the SHA-256 of what was actually read."""

    key: str
    size_bytes: int
    sha256: str


class ObjectStore(Protocol):
    """Bytes by key, each tenant's apart.

    A key is parts of lower-case letters, digits, ``.``, ``_`` and ``-``, joined by ``/``.
    A key outside that raises InvalidInputError in every method.
    """

    def put(self, scope: Scope, key: str, content: Path | bytes | BinaryIO) -> StoredObject:
        """Store a file, bytes or an open stream, whole or not at all; an object there is replaced."""

    def open(self, scope: Scope, key: str) -> BinaryIO:
        """The object as a stream, to be closed by the caller.

        Raises:
            NotFoundError: the tenant has no such object.
        """

    def exists(self, scope: Scope, key: str) -> bool:
        """Whether the tenant has the object."""

    def delete(self, scope: Scope, key: str) -> bool:
        """Delete the object; False where there was none."""

    def keys(self, scope: Scope, folder: str = "") -> Iterator[str]:
        """The tenant's keys in ascending order, all or those below ``folder`` (whole parts of a key)."""


def original_key(document_id: str, sha256: str) -> str:
    """The key of a document's original."""
    return f"{originals_folder(document_id)}/{sha256}"


def originals_folder(document_id: str) -> str:
    """The folder of a document's originals: one, or two while a changed file is ingested."""
    return f"originals/{document_id[:2]}/{document_id}"


class FileObjectStore:
    """An :class:`ObjectStore` in a folder: ``ROOT/TENANT/KEY``, readable by its owner alone.

    Args:
        root: the folder; made if absent. One process writes to it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / _INCOMING
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._incoming.mkdir(mode=0o700, exist_ok=True)
        # Between making a folder and moving a file into it, no delete may find the folder empty.
        self._moving = threading.Lock()
        self._remove_stale()

    def put(self, scope: Scope, key: str, content: Path | bytes | BinaryIO) -> StoredObject:
        """See :meth:`ObjectStore.put`. Streams through 1 MiB of memory; on disk when it returns."""
        target = self._path(scope, key)
        descriptor, name = tempfile.mkstemp(dir=self._incoming)
        try:
            with os.fdopen(descriptor, "wb") as sink:
                size, sha256 = _copy(content, sink)
                sink.flush()
                os.fsync(sink.fileno())
            with self._moving:
                self._move(Path(name), target, key)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise
        return StoredObject(key, size, sha256)

    def open(self, scope: Scope, key: str) -> BinaryIO:
        """See :meth:`ObjectStore.open`."""
        try:
            return self._path(scope, key).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NotFoundError(f"no object {key!r}; it was deleted or never stored", param="key") from None

    def exists(self, scope: Scope, key: str) -> bool:
        """See :meth:`ObjectStore.exists`."""
        return self._path(scope, key).is_file()

    def delete(self, scope: Scope, key: str) -> bool:
        """See :meth:`ObjectStore.delete`. Folders left empty go with it."""
        path = self._path(scope, key)
        with self._moving:
            try:
                path.unlink()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return False
            for folder in path.parents:
                if folder == self._root:
                    break
                try:
                    folder.rmdir()
                except OSError:
                    break
        return True

    def keys(self, scope: Scope, folder: str = "") -> Iterator[str]:
        """See :meth:`ObjectStore.keys`."""
        tenant = self._tenant(scope)
        start = self._path(scope, folder) if folder else tenant
        found = (Path(at) / name for at, _, names in os.walk(start) for name in names)
        yield from sorted(path.relative_to(tenant).as_posix() for path in found)

    def _path(self, scope: Scope, key: str) -> Path:
        parts = key.split("/")
        if not all(_PART.fullmatch(part) for part in parts):
            raise InvalidInputError(
                f"key {key!r} is not allowed; a key is parts of lower-case letters, digits, '.', '_' and '-' "
                "that start with a letter or digit, joined by '/'",
                param="key",
            )
        return self._tenant(scope).joinpath(*parts)

    def _tenant(self, scope: Scope) -> Path:
        # Every byte but the plain ones is written as %xx: no name leaves the root, and names that differ
        # only in case or Unicode form stay apart on file systems that would take them for one.
        folder = "".join(
            chr(byte) if byte in _PLAIN else f"%{byte:02x}" for byte in scope.tenant.encode("utf-8", "surrogatepass")
        )
        if not 1 <= len(folder) <= 255:
            raise InvalidInputError(
                f"tenant {scope.tenant!r} cannot name a folder; it must have 1 to 255 lower-case letters and digits "
                "(other ASCII characters count threefold, Korean ones ninefold)",
                param="tenant",
            )
        return self._root / folder

    def _move(self, source: Path, target: Path, key: str) -> None:
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            source.replace(target)
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            raise InvalidInputError(
                f"key {key!r} is not allowed beside the keys there: one object's key is the folder of another",
                param="key",
            ) from None
        # The new name must outlive a power failure, and so must the folders it lies in.
        for folder in target.parents:
            _sync(folder)
            if folder == self._root:
                break

    def _remove_stale(self) -> None:
        # Left by a killed process: pieces of documents that nothing else would ever delete.
        for path in self._incoming.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _STALE_S:
                    path.unlink()


def _copy(content: Path | bytes | BinaryIO, sink: BinaryIO) -> tuple[int, str]:
    if isinstance(content, Path):
        with content.open("rb") as source:
            return _copy(source, sink)
    digest = hashlib.sha256()
    size = 0
    blocks = iter([content]) if isinstance(content, bytes) else iter(lambda: content.read(_BLOCK), b"")
    for block in blocks:
        digest.update(block)
        size += sink.write(block)
    return size, digest.hexdigest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
