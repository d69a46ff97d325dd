"""Writes ended observations into the local file of traces."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from llmflow.tracing.local import encodable

KEEP_TRACES = 10_000
MAX_FIELD_CHARS = 10_000
_PRUNE_EVERY = 1000
_DAY_NS = 86_400 * 10**9
_PREFIX = "langfuse.observation."
_METADATA = _PREFIX + "metadata."
_logger = logging.getLogger(__name__)


class LocalExporter(SpanExporter):
    """Keeps the newest 10,000 traces of the last ``keep_days`` days.

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

    def score(self, trace_id: str, name: str, value: float) -> None:
        """Write a score of a trace, in place of one with the same name."""
        try:
            with self._lock:
                self._connection.execute(
                    "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)", (trace_id, name, value, time.time_ns())
                )
        except sqlite3.Error as error:
            _logger.warning("score %s is missing from the local traces: %s", name, error)

    def shutdown(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _write(self, spans: Sequence[ReadableSpan]) -> None:
        rows = [_row(span) for span in spans]
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            # A trace is named by its earliest observation; those within it end, and come here, before it.
            self._connection.executemany(
                """INSERT INTO traces VALUES (:trace_id, :name, :start_ns, :end_ns, 1, :level = 'ERROR')
                ON CONFLICT (trace_id) DO UPDATE SET
                    name = iif(excluded.start_ns <= start_ns, excluded.name, name),
                    start_ns = min(start_ns, excluded.start_ns),
                    end_ns = max(end_ns, excluded.end_ns),
                    observations = observations + 1,
                    errors = errors + excluded.errors""",
                rows,
            )
            self._connection.executemany(
                """INSERT INTO spans VALUES (:trace_id, :span_id, :parent_id, :name, :kind, :start_ns, :end_ns,
                    :level, :message, :input, :output, :metadata)""",
                rows,
            )
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._since_pruned += len(rows)
        if self._since_pruned >= _PRUNE_EVERY:
            self._prune()

    def _prune(self) -> None:
        self._since_pruned = 0
        self._connection.execute(
            """DELETE FROM traces WHERE start_ns < max(?, coalesce(
                (SELECT start_ns FROM traces ORDER BY start_ns DESC LIMIT 1 OFFSET ?), 0))""",
            (time.time_ns() - self._keep_days * _DAY_NS, KEEP_TRACES - 1),
        )
        # By age, for a score may be here before its trace.
        self._connection.execute(
            "DELETE FROM scores WHERE created_ns < (SELECT coalesce(min(start_ns), 0) FROM traces)"
        )


def _row(span: ReadableSpan) -> dict[str, Any]:
    attributes = span.attributes or {}
    metadata = {key.removeprefix(_METADATA): value for key, value in attributes.items() if key.startswith(_METADATA)}
    for key in ("model.name", "model.parameters", "usage_details"):
        if _PREFIX + key in attributes:
            metadata[key] = attributes[_PREFIX + key]
    row = {
        "trace_id": format(span.context.trace_id, "032x"),
        "span_id": format(span.context.span_id, "016x"),
        "parent_id": format(span.parent.span_id, "016x") if span.parent else None,
        "name": span.name,
        "kind": attributes.get(_PREFIX + "type", "span"),
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "level": attributes.get(_PREFIX + "level", "DEFAULT"),
        "message": attributes.get(_PREFIX + "status_message"),
        "input": _readable(attributes.get(_PREFIX + "input")),
        "output": _readable(attributes.get(_PREFIX + "output")),
        "metadata": json.dumps({key: _decoded(value) for key, value in metadata.items()}, ensure_ascii=False),
    }
    return {key: encodable(value) if isinstance(value, str) else value for key, value in row.items()}


def _decoded(value: Any) -> Any:
    """The value behind an attribute that the SDK wrote as JSON; other programs write plain text."""
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value


def _readable(value: Any) -> str | None:
    """Text, or JSON with Hangul as such and not as escapes."""
    if value is None:
        return None
    text = str(value)
    if text[:1] in ("{", "["):
        decoded = _decoded(text)
        text = decoded if isinstance(decoded, str) else json.dumps(decoded, ensure_ascii=False)
    if len(text) > MAX_FIELD_CHARS:
        text = f"{text[:MAX_FIELD_CHARS]}… (cut; {len(text)} characters)"
    return text
