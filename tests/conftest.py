"""The servers that the environment names; a test that needs one is skipped where it names none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmflow.stores import migrations
from llmflow.stores.engine import open_engine

POSTGRESQL = "TEST_POSTGRESQL_URL"
REDIS = "TEST_REDIS_URL"


@pytest.fixture
def postgresql_url() -> str:
    """A PostgreSQL database, emptied of our tables; tests on it must not run side by side."""
    url = _named(POSTGRESQL)
    engine = open_engine(url)
    migrations.upgrade(engine)
    migrations.downgrade(engine, "base")
    engine.dispose()
    return url


@pytest.fixture
def redis_url() -> str:
    return _named(REDIS)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without our tables, of either kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{tmp_path / 'llmflow.db'}"


def _named(variable: str) -> str:
    if variable not in os.environ:
        pytest.skip(f"{variable} names no server")
    return os.environ[variable]
