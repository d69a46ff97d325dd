from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, inspect

from llmflow.errors import UpstreamError
from llmflow.stores import migrations
from llmflow.stores.engine import open_engine
from llmflow.stores.tables import Base

POSTGRESQL = "TEST_POSTGRESQL_URL"

# Ready, it says so and waits for a line: both then begin in the same moment.
UPGRADE = """
import sys
from llmflow.stores import migrations, tables
from llmflow.stores.engine import open_engine
engine = open_engine(sys.argv[1])
engine.connect().close()
print("ready", flush=True)
sys.stdin.readline()
migrations.upgrade(engine)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "postgresql" and POSTGRESQL not in os.environ:
        pytest.skip(f"{POSTGRESQL} names no database")
    url = os.environ[POSTGRESQL] if request.param == "postgresql" else f"sqlite:///{tmp_path / 'llmflow.db'}"
    engine = open_engine(url)
    migrations.upgrade(engine)
    migrations.downgrade(engine, "base")
    # The table of the steps taken is made by the first step as well.
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
    yield engine
    engine.dispose()


def test_processes_that_bring_an_empty_database_up_to_date_at_once_do_not_collide(empty: Engine) -> None:
    url = empty.url.render_as_string(hide_password=False)
    processes = [
        subprocess.Popen([sys.executable, "-c", UPGRADE, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert set(Base.metadata.tables) <= set(inspect(empty).get_table_names())


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
@pytest.mark.parametrize(("query", "timeout"), [("", 5), ("?connect_timeout=60", "60")])
def test_postgresql_is_spoken_by_psycopg_and_not_waited_for_long(scheme: str, query: str, timeout: int | str) -> None:
    engine = open_engine(f"{scheme}://kim:secret@127.0.0.1:9/llmflow{query}")
    seen: dict[str, object] = {}
    event.listen(engine, "do_connect", lambda _dialect, _record, _arguments, options: seen.update(options))
    with pytest.raises(UpstreamError):
        engine.connect()
    assert engine.driver == "psycopg"
    assert seen.items() >= {"user": "kim", "password": "secret", "connect_timeout": timeout}.items()
