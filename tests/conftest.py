"""The servers that the environment names; a test that needs one is skipped where it names none."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.exc import ProgrammingError

from llmflow.stores import migrations
from llmflow.stores.engine import open_engine

POSTGRESQL = "TEST_POSTGRESQL_URL"
REDIS = "TEST_REDIS_URL"


@pytest.fixture
def postgresql_url(worker_id: str) -> str:
    """A PostgreSQL database of this test process, emptied of our tables."""
    server = make_url(_named(POSTGRESQL))
    own = server.set(database=f"{server.database}_{worker_id}")
    _create_database(server, str(own.database))
    url = own.render_as_string(hide_password=False)
    engine = open_engine(url)
    migrations.upgrade(engine)
    migrations.downgrade(engine, "base")
    engine.dispose()
    return url


@pytest.fixture
def redis_url(worker_id: str) -> str:
    """A numbered database of Redis, of this test process: 0, or one for each of those that run side by side."""
    number = worker_id.removeprefix("gw") if worker_id != "master" else "0"
    return f"{_named(REDIS).rpartition('/')[0]}/{number}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without our tables, of either kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{tmp_path / 'llmflow.db'}"


def _create_database(server: URL, name: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection, suppress(ProgrammingError):  # it was made by an earlier test
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    engine.dispose()


def _named(variable: str) -> str:
    if variable not in os.environ:
        pytest.skip(f"{variable} names no server")
    return os.environ[variable]
