"""Objects in a folder."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from llmflow.errors import InvalidInputError, UpstreamError
from llmflow.schema import Scope
from llmflow.stores.objects.keys import absent, located, tenant_folder
from llmflow.stores.objects.measured import measured
from llmflow.stores.objects.protocol import StoredObject

_BLOCK = 1 << 20
_STALE_S = 3600.0
_INCOMING = ".incoming"
_TRIES = 1000
_NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class FileObjectStore:
    """An :class:`ObjectStore` in a folder: ``ROOT/TENANT/KEY``, readable by its owner alone.

    Args:
        root: the folder; made if absent. Any number of processes may share it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / _INCOMING
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._incoming.mkdir(mode=0o700, exist_ok=True)
        self._remove_stale()

    def put(self, scope: Scope, key: str, content: Path | bytes | BinaryIO) -> StoredObject:
        """See :meth:`ObjectStore.put`. Streams through 1 MiB of memory; on disk when it returns."""
        target = self._path(scope, key)
        descriptor, name = tempfile.mkstemp(dir=self._incoming)
        try:
            with os.fdopen(descriptor, "wb") as sink, measured(content) as source:
                shutil.copyfileobj(source, sink, _BLOCK)
                sink.flush()
                os.fsync(sink.fileno())
            self._move(Path(name), target, key)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise
        return source.stored(key)

    def open(self, scope: Scope, key: str) -> BinaryIO:
        """See :meth:`ObjectStore.open`."""
        try:
            return self._path(scope, key).open("rb")
        except _NO_FILE:
            raise absent(key) from None

    def exists(self, scope: Scope, key: str) -> bool:
        """See :meth:`ObjectStore.exists`."""
        return self._path(scope, key).is_file()

    def delete(self, scope: Scope, key: str) -> bool:
        """See :meth:`ObjectStore.delete`. Folders left empty go with it."""
        path = self._path(scope, key)
        try:
            path.unlink()
        except _NO_FILE:
            return False
        for folder in self._folders_of(path):
            try:
                folder.rmdir()
            except OSError:  # not empty, or another process removed it
                break
        return True

    def keys(self, scope: Scope, folder: str = "") -> Iterator[str]:
        """See :meth:`ObjectStore.keys`."""
        tenant = self._root / tenant_folder(scope)
        start = self._path(scope, folder) if folder else tenant
        found = (Path(at) / name for at, _, names in os.walk(start) for name in names)
        yield from sorted(path.relative_to(tenant).as_posix() for path in found)

    def ping(self) -> None:
        """See :meth:`ObjectStore.ping`. Writes a byte."""
        try:
            with tempfile.TemporaryFile(dir=self._incoming) as probe:
                probe.write(b"\0")
        except OSError as error:
            raise UpstreamError(
                f"cannot write to {self._root}: {error.strerror}; make the folder writable and room on its disk",
                param="objects.root",
            ) from error

    def _path(self, scope: Scope, key: str) -> Path:
        return self._root / located(scope, key)

    def _folders_of(self, path: Path) -> Iterator[Path]:
        """The folders a file lies in, the innermost first, without the root."""
        for folder in path.parents:
            if folder == self._root:
                break
            yield folder

    def _move(self, source: Path, target: Path, key: str) -> None:
        for _ in range(_TRIES):
            try:
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                source.replace(target)
                break
            except (FileExistsError, *_NO_FILE):
                if target.is_dir() or any(folder.is_file() for folder in self._folders_of(target)):
                    raise InvalidInputError(
                        f"key {key!r} is not allowed beside the keys there: one object's key is the folder of another",
                        param="key",
                    ) from None
                # Another process found the folder empty and removed it, between the two steps.
        else:
            raise UpstreamError(
                f"cannot store {key!r} in {self._root}: its folder keeps going away; "
                "see that nothing but LLMFlow removes folders there",
                param="objects.root",
            )
        # The new name must outlive a power failure, and so must the folders it lies in.
        for folder in (*self._folders_of(target), self._root):
            with suppress(FileNotFoundError):  # the object was deleted again
                _sync(folder)

    def _remove_stale(self) -> None:
        # Left by a killed process: pieces of documents that nothing else would ever delete.
        for path in self._incoming.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _STALE_S:
                    path.unlink()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
