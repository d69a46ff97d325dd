"""Steps of the database's schema, each with its way back.

A new step is a file ``versions/NNNN_what_it_does.py`` with ``revision``, ``down_revision``
(the step before it), ``upgrade()`` and ``downgrade()``; nothing needs to be registered.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, func, select

_LOCK = int.from_bytes(b"llmflow", "big")


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the schema forward to ``revision``, in one transaction; processes that do so at once queue."""
    with _alone(engine) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the schema back to ``revision`` (``base``: no tables), in one transaction."""
    with _alone(engine) as connection:
        command.downgrade(_config(connection), revision)


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A transaction that changes the schema while no other process does."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        yield connection


def _config(connection: Connection) -> Config:
    # "%" is the interpolation sign of the configuration, and a folder's name may hold it.
    location = str(Path(__file__).parent).replace("%", "%%")
    config = Config()
    config.set_main_option("script_location", location)
    config.attributes["connection"] = connection
    return config
