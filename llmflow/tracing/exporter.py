"""Writes ended observations into the local file of traces."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from llmflow.schema import Scope
from llmflow.tracing import attributes
from llmflow.tracing.attributes import as_json, encodable
from llmflow.tracing.file import VISIBLE, seen_by

KEEP_TRACES = 10_000
MAX_FIELD_CHARS = 10_000
_PRUNE_EVERY = 1000
_DAY_NS = 86_400 * 10**9
_logger = logging.getLogger(__name__)

_Owner = tuple[str, str, str, str]
"""Trace id, tenant, departments and user: what makes a row of ``traces``."""


class LocalExporter(SpanExporter):
    """Keeps the newest 10,000 traces of each tenant, those of the last ``keep_days`` days.

    An input or output longer than 10,000 characters is cut, and says so.
    """

    def __init__(self, connection: sqlite3.Connection, keep_days: int) -> None:
        self._connection = connection
        self._keep_days = keep_days
        self._lock = threading.Lock()
        # The first batch prunes: in the background, and also in programs that make only a few.
        self._since_pruned = _PRUNE_EVERY

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write spans; a file that cannot be written costs these spans, never the caller."""
        try:
            with self._lock:
                self._write(spans)
        except sqlite3.Error as error:
            _logger.warning("%d observations are missing from the local traces: %s", len(spans), error)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def score(self, scope: Scope, trace_id: str, name: str, value: float, own: bool) -> bool:
        """Write a score of a trace, in place of one with the same name; False where the scope has no such trace."""
        try:
            with self._lock:
                written = self._connection.execute(
                    f"""INSERT OR REPLACE INTO scores SELECT id, :name, :value FROM traces
                    WHERE {VISIBLE} AND trace_id = :trace_id ORDER BY start_ns LIMIT 1""",
                    {**seen_by(scope, own), "trace_id": trace_id.lower(), "name": name, "value": value},
                )
            return written.rowcount == 1
        except sqlite3.Error as error:
            _logger.warning("score %s is missing from the local traces: %s", name, error)
            return True

    def shutdown(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _write(self, spans: Sequence[ReadableSpan]) -> None:
        rows: dict[_Owner, list[dict[str, Any]]] = defaultdict(list)
        for span in spans:
            values = span.attributes or {}
            rows[_owner(span, values)].append(_row(span, values))
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for owner, made in rows.items():
                self._write_trace(owner, made)
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._since_pruned += len(spans)
        if self._since_pruned >= _PRUNE_EVERY:
            self._prune()

    def _write_trace(self, owner: _Owner, rows: list[dict[str, Any]]) -> None:
        start, end = min(row["start_ns"] for row in rows), max(row["end_ns"] for row in rows)
        errors = sum(row["level"] == "ERROR" for row in rows)
        ((trace,),) = self._connection.execute(
            """INSERT INTO traces (trace_id, tenant, departments, user, start_ns, end_ns, observations, errors)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (trace_id, tenant, departments, user) DO UPDATE SET
                start_ns = min(start_ns, excluded.start_ns),
                end_ns = max(end_ns, excluded.end_ns),
                observations = observations + excluded.observations,
                errors = errors + excluded.errors
            RETURNING id""",
            (*owner, start, end, len(rows), errors),
        ).fetchall()
        self._connection.executemany(
            f"""INSERT INTO spans VALUES ({trace:d}, :span_id, :parent_id, :name, :kind, :start_ns, :end_ns,
                :level, :message, :input, :output, :metadata)""",
            rows,
        )

    def _prune(self) -> None:
        self._since_pruned = 0
        # By tenant, so that nobody drives out the traces of another.
        self._connection.execute(
            """DELETE FROM traces WHERE start_ns < ? OR id IN (SELECT id FROM (
                SELECT id, row_number() OVER (PARTITION BY tenant ORDER BY start_ns DESC) AS place FROM traces
            ) WHERE place > ?)""",
            (time.time_ns() - self._keep_days * _DAY_NS, KEEP_TRACES),
        )


def _owner(span: ReadableSpan, values: Mapping[str, Any]) -> _Owner:
    return (
        format(span.context.trace_id, "032x"),
        json.loads(values.get(attributes.TENANT, '""')),
        values.get(attributes.DEPARTMENTS, "[]"),
        values.get(attributes.USER, ""),
    )


def _row(span: ReadableSpan, values: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {
        key.removeprefix(attributes.METADATA): value
        for key, value in values.items()
        if key.startswith(attributes.METADATA)
    }
    if attributes.MODEL in values:
        metadata["model.name"] = as_json(values[attributes.MODEL])
    if attributes.USAGE in values:
        metadata["usage_details"] = values[attributes.USAGE]
    return {
        "span_id": format(span.context.span_id, "016x"),
        "parent_id": format(span.parent.span_id, "016x") if span.parent else None,
        "name": encodable(span.name),
        "kind": values.get(attributes.KIND, "span"),
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "level": values.get(attributes.LEVEL, "DEFAULT"),
        "message": values.get(attributes.MESSAGE),
        "input": _cut(values.get(attributes.INPUT)),
        "output": _cut(values.get(attributes.OUTPUT)),
        # The values are JSON already.
        "metadata": "{" + ", ".join(f"{as_json(key)}: {value}" for key, value in metadata.items()) + "}",
    }


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= MAX_FIELD_CHARS:
        return text
    return f"{text[:MAX_FIELD_CHARS]}… (cut; {len(text)} characters)"
