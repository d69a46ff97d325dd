"""The database connection: SQLite or PostgreSQL, opened the way LLMFlow needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError

from llmflow.errors import ConfigurationError, UpstreamError

READS = "llmflow_reads"
"""Execution option of a transaction that only reads."""

_BUSY_TIMEOUT_MS = 30_000
_CONNECT_TIMEOUT_S = 5
_KEEPALIVE = {"tcp_user_timeout": 10_000, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_POSTGRESQL = "postgresql+psycopg"


def open_engine(url: str) -> Engine:
    """An engine for ``url``; the folder of a SQLite file is made, ``postgresql://`` is spoken by psycopg 3.

    Raises:
        ConfigurationError: the URL is malformed, or its driver is not installed.
    """
    try:
        parsed = make_url(url)
        options: dict[str, Any] = {}
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername=_POSTGRESQL)
        if parsed.drivername == _POSTGRESQL and "connect_timeout" not in parsed.query:
            # A server that is gone without a word would hold each call for minutes.
            options = {"connect_args": {"connect_timeout": _CONNECT_TIMEOUT_S, **_KEEPALIVE}}
        engine = create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite", **options)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigurationError(
            f"cannot use the database URL: {error}; allowed are sqlite:///PATH and postgresql://USER@HOST/NAME",
            param="database.url",
        ) from None
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    else:
        event.listen(engine, "handle_error", _tell)
    return engine


def _tell(context: ExceptionContext) -> None:
    """A server that is away is no fault of the call: an error of ours that says what to do."""
    if isinstance(context.sqlalchemy_exception, OperationalError | InterfaceError) and not context.is_pre_ping:
        raise UpstreamError(
            f"the database does not answer: {str(context.original_exception).strip()}; check that it runs and that"
            " database.url is right",
            param="database.url",
        )


def _prepare_sqlite(engine: Engine) -> None:
    if engine.url.database in (None, "", ":memory:"):
        raise ConfigurationError(
            "a SQLite database in memory is not shared between threads; name a file, as in sqlite:///llmflow.db",
            param="database.url",
        )
    Path(str(engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)


def _configure(connection: Any, _record: object) -> None:
    # The driver would begin transactions by itself, late and not for DDL; _begin does it instead.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later cannot wait for another writer in SQLite, it
    # fails at once; taking the write lock at the start makes it queue.
    reads = connection.get_execution_options().get(READS, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
