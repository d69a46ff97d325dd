"""The embedded graph database: ladybug, a maintained fork of Kuzu, in one file.

One process may write and others read beside it; within the process one thread writes at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import ladybug

from llmflow.errors import StoreHeldError, UpstreamError
from llmflow.stores.graph.engine import Rows, Run
from llmflow.stores.graph.statements import LADYBUG_SCHEMA

_BUFFER_POOL = 256 << 20
_MAX_SIZE = 1 << 36
"""Address space set aside for the file; ladybug's own default, 8 TiB, is more than some hosts allow."""


class LadybugEngine:
    """The graph in a file.

    Args:
        read_only: open it beside the process that writes; it must exist.

    Raises:
        StoreHeldError: another process writes to it, or it cannot be opened.
        UpstreamError: its schema cannot be written.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._database = ladybug.Database(
                str(path),
                buffer_pool_size=_BUFFER_POOL,
                max_db_size=_MAX_SIZE,
                read_only=read_only,
                # What a killed process was writing ends in the middle; it was never committed.
                throw_on_wal_replay_failure=False,
            )
            self._reader = ladybug.Connection(self._database)
        except RuntimeError as error:
            raise StoreHeldError(
                f"the graph in {path} cannot be opened: {error}. If another llmflow process runs in this folder,"
                " wait for it to end or stop it. If the file is damaged, delete it and run `llmflow graph rebuild`.",
                param="graph.uri",
            ) from error
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._open: list[ladybug.Connection | ladybug.Database] = [self._reader, self._database]
        if not read_only:
            self._writer = ladybug.Connection(self._database)
            self._open.insert(0, self._writer)
            for statement in LADYBUG_SCHEMA:
                self._run(self._writer, statement)

    def read(self, statement: str, parameters: dict[str, Any]) -> Rows:
        """See :class:`~llmflow.stores.graph.engine.GraphEngine`."""
        with self._reading:
            return self._run(self._reader, statement, parameters)

    @contextmanager
    def transaction(self) -> Iterator[Run]:
        """See :class:`~llmflow.stores.graph.engine.GraphEngine`."""
        with self._writing:
            self._run(self._writer, "BEGIN TRANSACTION")
            try:
                yield partial(self._run, self._writer)
                self._run(self._writer, "COMMIT")
            except BaseException:
                with suppress(UpstreamError):  # a statement that failed has rolled back already
                    self._run(self._writer, "ROLLBACK")
                raise

    def close(self) -> None:
        """See :class:`~llmflow.stores.graph.engine.GraphEngine`."""
        with self._writing, self._reading:
            for part in self._open:  # the file stays locked until the last of them is closed
                part.close()

    def _run(self, connection: ladybug.Connection, statement: str, parameters: dict[str, Any] | None = None) -> Rows:
        try:
            result = connection.execute(statement, parameters)
            assert isinstance(result, ladybug.QueryResult)  # one statement, one result
            names = result.get_column_names()
            return [dict(zip(names, row, strict=True)) for row in result.get_all()]
        except RuntimeError as error:  # the only one ladybug has
            raise UpstreamError(
                f"the graph in {self._path} fails: {error}. If the disk is full, free some of it. If the file is"
                f" damaged, delete it (and {self._path.name}.wal). Then run `llmflow graph rebuild`.",
                param="graph",
            ) from error
