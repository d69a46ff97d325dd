from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, event, inspect
from together import run_together

from llmflow.errors import UpstreamError
from llmflow.stores.engine import open_engine
from llmflow.stores.tables import Base

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


@pytest.fixture
def empty(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    # The table of the steps taken is made by the first step as well.
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS alembic_version")
    yield engine
    engine.dispose()


def test_processes_that_bring_an_empty_database_up_to_date_at_once_do_not_collide(empty: Engine) -> None:
    url = empty.url.render_as_string(hide_password=False)
    run_together(UPGRADE, [url] * 3)
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
