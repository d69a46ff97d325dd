"""A writer of the graph killed at any moment: what it acknowledged is there, and nothing by half."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from llmflow.schema import Scope
from llmflow.settings import Settings
from llmflow.stores.graph import open_graph

HR = Scope("acme", ("hr",))
ENTITIES = 30
WRITER = """
import itertools, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from graph_parts import part
from llmflow.schema import Scope
from llmflow.settings import Settings
from llmflow.stores.graph import open_graph

store = open_graph(Settings(data_dir=Path(sys.argv[1])))
for number in itertools.count(int(sys.argv[2])):
    document = f"d{number % 7}"  # each document is replaced again and again
    names = [f"entity {number} {n}" for n in range(int(sys.argv[4]))]
    about = {f"{document}-{number}-{n}": name for n, name in enumerate(names)}
    first = next(iter(about))
    store.replace(
        Scope("acme", ("hr",)), "hr",
        part(document, about=about, mentions=tuple((first, name) for name in names), work=f"version {number}"),
    )
    print(number, flush=True)
"""


def test_a_killed_writer_loses_nothing_and_leaves_nothing_half(tmp_path: Path) -> None:
    begin = 0
    for outcomes in (3, 9, 14):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(begin), str(Path(__file__).parent), str(ENTITIES)],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            acknowledged = [int(process.stdout.readline()) for _ in range(outcomes)]
            process.kill()
            acknowledged += [int(line) for line in process.stdout if line.strip()]
            assert process.wait(60) == -signal.SIGKILL
        store = open_graph(Settings(data_dir=tmp_path))
        # The newest acknowledged version of each document, or the next, whose acknowledgement was cut off.
        newest = {f"d{number % 7}": number for number in acknowledged}
        on_the_way = acknowledged[-1] + 1
        for document, number in newest.items():
            versions = {number, on_the_way} if f"d{on_the_way % 7}" == document else {number}
            chunks = {version: [f"{document}-{version}-{n}" for n in range(ENTITIES)] for version in versions}
            whole = [version for version in versions if len(store.works(HR, chunks[version])) == ENTITIES]
            some = [version for version in versions if store.works(HR, chunks[version])]
            assert whole == some
            assert len(whole) == 1
            found = {entity.chunk_id for entity in store.named(HR, ["entity", str(whole[0]), "3"])}
            assert f"{document}-{whole[0]}-3" in found
        assert store.counts(HR)["subject"] == ENTITIES * len(store.all_documents())
        store.close()
        begin = on_the_way + 1


ONE_BY_ONE = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from graph_parts import part
from llmflow.schema import Scope
from llmflow.settings import Settings
from llmflow.stores.graph import open_graph

store = open_graph(Settings(data_dir=Path(sys.argv[1])))
for name in sys.argv[3:]:
    store.replace(Scope("acme", ("hr",)), "hr", part(name, about={f"{name}-{n}": f"{name} {n}" for n in range(50)}))
print(*sorted(store.all_documents()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("damage", ["cut short", "half a record more"])
def test_a_log_that_ends_in_the_middle_of_a_record_costs_that_record_only(tmp_path: Path, damage: str) -> None:
    def documents(*written: str) -> list[str]:
        arguments = [sys.executable, "-c", ONE_BY_ONE, str(tmp_path), str(Path(__file__).parent), *written]
        ran = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, timeout=60)
        assert ran.returncode == -signal.SIGKILL
        return ran.stdout.split()

    assert documents("a", "b") == ["a", "b"]
    log = tmp_path / "graph.lbug.wal"
    content = log.read_bytes()
    log.write_bytes(content[:-50] if damage == "cut short" else content + b"\x07" * 40)
    kept = ["a"] if damage == "cut short" else ["a", "b"]
    assert documents("c") == [*kept, "c"]
    assert documents() == [*kept, "c"]
