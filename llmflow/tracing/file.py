"""The local SQLite file of traces: its tables, and who may see what of them."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from llmflow.errors import ConfigurationError, NotFoundError
from llmflow.schema import Scope
from llmflow.tracing.attributes import departments

SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE traces (
    id INTEGER PRIMARY KEY,
    trace_id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    departments TEXT NOT NULL,
    user TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    observations INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    UNIQUE (trace_id, tenant, departments, user)
);
CREATE INDEX traces_newest ON traces (tenant, departments, start_ns);
CREATE TABLE spans (
    trace INTEGER NOT NULL REFERENCES traces ON DELETE CASCADE,
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
    PRIMARY KEY (trace, span_id)
) WITHOUT ROWID;
CREATE TABLE scores (
    trace INTEGER NOT NULL REFERENCES traces ON DELETE CASCADE,
    name TEXT NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (trace, name)
) WITHOUT ROWID;
"""
# A row of `traces` is what was done for one scope under one trace id. Callers may send any trace id,
# so that two tenants can meet under one; '' is the tenant of what was done for nobody in particular.
VISIBLE = """
    tenant = :tenant AND tenant <> '' AND (user = :user OR NOT :own) AND departments IN (
        SELECT made_for FROM (SELECT DISTINCT departments AS made_for FROM traces WHERE tenant = :tenant)
        WHERE NOT EXISTS (
            SELECT 1 FROM json_each(made_for) WHERE value NOT IN (SELECT value FROM json_each(:departments))))
"""
"""Condition on ``traces``: the scope of :func:`seen_by` may see the row."""

_logger = logging.getLogger(__name__)


def seen_by(scope: Scope, own: bool) -> dict[str, str | bool]:
    """Parameters of :data:`VISIBLE`; ``own`` leaves only what was done for the scope's user."""
    return {"tenant": scope.tenant, "departments": departments(scope), "user": scope.user or "", "own": own}


def no_trace(wanted: str) -> NotFoundError:
    """The error for an id that does not exist, and for one of somebody else."""
    return NotFoundError(f"no trace with the id {wanted!r}; `llmflow traces` lists them", param="trace_id")


def connect(path: Path) -> sqlite3.Connection:
    """Open the file for writing, made if absent.

    The tables of an earlier version are replaced: its traces do not say whose they are, so
    nobody could be shown them.

    Raises:
        ConfigurationError: the file cannot be opened, or is none of ours.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 1:
            _logger.warning("the traces in %s were made by an earlier version without tenants, and are deleted", path)
            for table in ("scores", "spans", "traces"):
                connection.execute(f"DROP TABLE IF EXISTS {table}")
        if version < SCHEMA_VERSION:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.execute("COMMIT")
        connection.execute("PRAGMA foreign_keys=ON")
    except (sqlite3.DatabaseError, OSError) as error:
        raise ConfigurationError(
            f"cannot open {path} for the local traces: {error}; name another file, or switch tracing off",
            param="tracing.path",
        ) from error
    if version > SCHEMA_VERSION:
        connection.close()
        raise ConfigurationError(
            f"{path} holds traces of another version of LLMFlow; delete the file, or name another",
            param="tracing.path",
        )
    return connection
