"""Reads the local file of traces."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llmflow.errors import InvalidInputError
from llmflow.schema import Scope
from llmflow.tracing.file import SCHEMA_VERSION, VISIBLE, no_trace, seen_by

_SUMMARIES = f"""
WITH found AS (
    SELECT trace_id, min(start_ns) AS start_ns, max(end_ns) AS end_ns, sum(observations) AS observations,
        sum(errors) AS errors, json_group_array(id) AS traces
    FROM traces WHERE {VISIBLE} AND trace_id GLOB :ids GROUP BY trace_id ORDER BY start_ns DESC LIMIT :limit
)
SELECT found.*, first.name, first.input FROM found JOIN spans AS first ON (first.trace, first.span_id) = (
    SELECT trace, span_id FROM spans WHERE trace IN (SELECT value FROM json_each(found.traces))
    ORDER BY start_ns, end_ns DESC LIMIT 1)
ORDER BY found.start_ns DESC
"""
_ID_PREFIX = re.compile("[0-9a-f]{1,32}")


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A trace in a list; ``name`` and ``input`` are those of its outermost observation."""

    trace_id: str
    name: str
    input: str | None
    start: datetime
    duration_ms: float
    observations: int
    errors: int


@dataclass(frozen=True, slots=True)
class TraceNode:
    """An observation and those made within it, in order of their start.

    ``level`` is ``DEFAULT``, ``WARNING`` or ``ERROR``, the latter two with a ``message``.
    ``offset_ms`` counts from the start of the trace. ``input`` and ``output`` are JSON or plain text.
    """

    span_id: str
    name: str
    kind: str
    offset_ms: float
    duration_ms: float
    level: str
    message: str | None
    input: str | None
    output: str | None
    metadata: dict[str, Any]
    children: tuple[TraceNode, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """A judgement of a whole trace."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace: its outermost observations (one, unless it began in another program) and its scores."""

    summary: TraceSummary
    roots: tuple[TraceNode, ...]
    scores: tuple[Score, ...]


class LocalTraces:
    """Reads the traces of a file, also while another process writes it.

    Args:
        path: the file; one that does not exist holds no traces.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def recent(self, scope: Scope, limit: int = 20, *, own: bool = False) -> tuple[TraceSummary, ...]:
        """The scope's latest traces, newest first.

        A trace shows what was done for the scope's tenant and for none but the scope's
        departments; what others did under the same trace id is not there.

        Args:
            scope: whose traces.
            limit: traces at most.
            own: only what was done for the scope's user.
        """
        with self._reading() as connection:
            return tuple(_summary(row) for row in _summaries(connection, scope, own, "*", limit))

    def get(self, scope: Scope, id_or_prefix: str, *, own: bool = False) -> Trace:
        """The scope's trace with an id, or with the only id that starts so; see :meth:`recent`.

        Raises:
            NotFoundError: no trace of the scope has such an id.
            InvalidInputError: several have.
        """
        prefix = id_or_prefix.lower()
        if not _ID_PREFIX.fullmatch(prefix):
            raise no_trace(id_or_prefix)
        with self._reading() as connection:
            found = _summaries(connection, scope, own, prefix + "*", 2)
            if connection is None or not found:
                raise no_trace(id_or_prefix)
            if len(found) > 1:
                raise InvalidInputError(
                    f"several traces have an id that starts with {id_or_prefix!r}, among them "
                    f"{found[0]['trace_id']} and {found[1]['trace_id']}; give more of it",
                    param="trace_id",
                )
            (row,) = found
            spans = connection.execute(
                "SELECT * FROM spans WHERE trace IN (SELECT value FROM json_each(?)) ORDER BY start_ns, end_ns DESC",
                (row["traces"],),
            ).fetchall()
            scores = connection.execute(
                "SELECT name, value FROM scores WHERE trace IN (SELECT value FROM json_each(?)) ORDER BY name",
                (row["traces"],),
            )
            return Trace(_summary(row), _tree(spans, row["start_ns"]), tuple(Score(*score) for score in scores))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        if not self._path.exists():
            yield None
            return
        with closing(sqlite3.connect(self._path, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            # The next observation replaces a file of an earlier version.
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            yield connection if version == SCHEMA_VERSION else None


def _summaries(
    connection: sqlite3.Connection | None, scope: Scope, own: bool, ids: str, limit: int
) -> list[sqlite3.Row]:
    if connection is None:
        return []
    return connection.execute(_SUMMARIES, {**seen_by(scope, own), "ids": ids, "limit": limit}).fetchall()


def _summary(row: sqlite3.Row) -> TraceSummary:
    return TraceSummary(
        trace_id=row["trace_id"],
        name=row["name"],
        input=row["input"],
        start=datetime.fromtimestamp(row["start_ns"] / 1e9, UTC),
        duration_ms=(row["end_ns"] - row["start_ns"]) / 1e6,
        observations=row["observations"],
        errors=row["errors"],
    )


def _tree(spans: list[sqlite3.Row], start_ns: int) -> tuple[TraceNode, ...]:
    known = {span["span_id"] for span in spans}
    children: dict[str | None, list[sqlite3.Row]] = defaultdict(list)
    for span in spans:
        # A parent that is not here ran in another program, or has not ended yet.
        children[span["parent_id"] if span["parent_id"] in known else None].append(span)

    def node(span: sqlite3.Row) -> TraceNode:
        return TraceNode(
            span_id=span["span_id"],
            name=span["name"],
            kind=span["kind"],
            offset_ms=(span["start_ns"] - start_ns) / 1e6,
            duration_ms=(span["end_ns"] - span["start_ns"]) / 1e6,
            level=span["level"],
            message=span["message"],
            input=span["input"],
            output=span["output"],
            metadata=json.loads(span["metadata"]),
            children=tuple(node(child) for child in children[span["span_id"]]),
        )

    return tuple(node(span) for span in children[None])
