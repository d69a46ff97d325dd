"""The local SQLite file of traces: its schema, and reading it."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llmflow.errors import ConfigurationError, InvalidInputError, NotFoundError

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE traces (
    trace_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    observations INTEGER NOT NULL,
    errors INTEGER NOT NULL
);
CREATE INDEX traces_start ON traces (start_ns);
CREATE TABLE spans (
    trace_id TEXT NOT NULL REFERENCES traces ON DELETE CASCADE,
    span_id TEXT NOT NULL,
    parent_id TEXT,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    level TEXT NOT NULL,
    message TEXT,
    input TEXT,
    output TEXT,
    metadata TEXT NOT NULL,
    PRIMARY KEY (trace_id, span_id)
) WITHOUT ROWID;
CREATE TABLE scores (
    trace_id TEXT NOT NULL,
    name TEXT NOT NULL,
    value REAL NOT NULL,
    created_ns INTEGER NOT NULL,
    PRIMARY KEY (trace_id, name)
) WITHOUT ROWID;
"""
_SUMMARIES = """
SELECT traces.*, (SELECT input FROM spans WHERE spans.trace_id = traces.trace_id AND parent_id IS NULL
                  ORDER BY start_ns LIMIT 1) AS input FROM traces
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


def encodable(text: str) -> str:
    """``text`` without the lone surrogates of a file name that is not valid Unicode; neither sink takes those."""
    return text.encode("utf-8", "replace").decode()


def connect(path: Path) -> sqlite3.Connection:
    """Open the file for writing, made if absent.

    Raises:
        ConfigurationError: the file cannot be opened, or is none of ours.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("BEGIN IMMEDIATE")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except (sqlite3.DatabaseError, OSError) as error:
        raise ConfigurationError(
            f"cannot open {path} for the local traces: {error}; name another file, or switch tracing off",
            param="tracing.path",
        ) from error
    if version not in (0, SCHEMA_VERSION):
        connection.close()
        raise ConfigurationError(
            f"{path} holds traces of another version of LLMFlow; delete the file, or name another",
            param="tracing.path",
        )
    return connection


class LocalTraces:
    """Reads the traces of a file, also while another process writes it.

    Args:
        path: the file; one that does not exist holds no traces.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def recent(self, limit: int = 20) -> tuple[TraceSummary, ...]:
        """The latest traces, newest first."""
        if not self._path.exists():
            return ()
        with closing(self._open()) as connection:
            rows = connection.execute(f"{_SUMMARIES} ORDER BY start_ns DESC LIMIT ?", (limit,))
            return tuple(_summary(row) for row in rows)

    def get(self, id_or_prefix: str) -> Trace:
        """The trace with an id, or with the only id that starts so.

        Raises:
            NotFoundError: no trace has such an id.
            InvalidInputError: several have.
        """
        prefix = id_or_prefix.lower()
        if not _ID_PREFIX.fullmatch(prefix) or not self._path.exists():
            raise _no_trace(id_or_prefix)
        with closing(self._open()) as connection:
            found = connection.execute(f"{_SUMMARIES} WHERE trace_id GLOB ? LIMIT 2", (prefix + "*",)).fetchall()
            if not found:
                raise _no_trace(id_or_prefix)
            if len(found) > 1:
                raise InvalidInputError(
                    f"several traces have an id that starts with {id_or_prefix!r}, among them "
                    f"{found[0]['trace_id']} and {found[1]['trace_id']}; give more of it",
                    param="trace_id",
                )
            summary = _summary(found[0])
            spans = connection.execute(
                "SELECT * FROM spans WHERE trace_id = ? ORDER BY start_ns, end_ns DESC", (summary.trace_id,)
            ).fetchall()
            scores = connection.execute(
                "SELECT name, value FROM scores WHERE trace_id = ? ORDER BY name", (summary.trace_id,)
            )
            return Trace(summary, _tree(spans, found[0]["start_ns"]), tuple(Score(*row) for row in scores))

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=10)
        connection.row_factory = sqlite3.Row
        return connection


def _no_trace(wanted: str) -> NotFoundError:
    return NotFoundError(f"no trace with the id {wanted!r}; `llmflow traces` lists them", param="trace_id")


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
