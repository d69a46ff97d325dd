"""Searching the graph while it is written or loaded, and a graph whose disk is full."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from graph_parts import part

from llmflow.errors import UpstreamError
from llmflow.schema import Scope
from llmflow.settings import Settings
from llmflow.stores.graph import GraphStore, open_graph
from llmflow.stores.graph.engine import Rows, Run
from llmflow.stores.graph.ladybug import LadybugEngine

HR = Scope("acme", ("hr",))
IT = Scope("acme", ("it",))
OTHER = Scope("rival", ("hr",))
PATIENCE = 20.0


class GatedEngine(LadybugEngine):
    """Ladybug, stopping before a commit, or before reading for one department, until it may go on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.gated: str | None = None
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def read(self, statement: str, parameters: dict[str, Any]) -> Rows:
        self._pass(parameters.get("department"))
        return super().read(statement, parameters)

    @contextmanager
    def transaction(self) -> Iterator[Run]:
        with super().transaction() as run:
            yield run
            self._pass("commit")

    def _pass(self, place: str | None) -> None:
        if self.gated is not None and place == self.gated:
            self.reached.set()
            assert self.go_on.wait(2 * PATIENCE)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[GatedEngine]:
    engine = GatedEngine(tmp_path / "graph.lbug")
    yield engine
    engine.close()


@contextmanager
def halted(engine: GatedEngine, place: str, call: Callable[[], object]) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads in one of which ``call`` has stopped at ``place``; it goes on when the block ends."""
    with ThreadPoolExecutor(4) as pool:
        engine.gated = place
        halting: Future[object] = pool.submit(call)
        try:
            assert engine.reached.wait(PATIENCE)
            yield pool
        finally:
            engine.go_on.set()
        halting.result(PATIENCE)


def names(store: GraphStore, scope: Scope) -> set[str]:
    return {found.name for found in store.named(scope, ["annual", "leave", "pay"])}


def test_nobody_who_searches_waits_for_a_writer(engine: GatedEngine) -> None:
    store = GraphStore(engine)
    store.replace(IT, "it", part("b", about={"b1": "sick leave"}))
    store.replace(OTHER, "hr", part("c", about={"c1": "leave"}))
    store.replace(HR, "hr", part("a", about={"a1": "annual leave"}))
    store = GraphStore(engine)
    assert names(store, HR) == {"annual leave"}
    new = part("a", about={"a2": "annual pay", "a3": "leave pay"}, relations=(("x", "grants", "annual pay", "a2"),))
    with halted(engine, "commit", lambda: store.replace(HR, "hr", new)) as pool:
        assert pool.submit(names, store, HR).result(PATIENCE) == {"annual leave"}
        assert pool.submit(store.facts, HR, ["a1", "a2"], 5).result(PATIENCE) == []
        assert pool.submit(names, store, IT).result(PATIENCE) == {"sick leave"}  # loaded meanwhile
        assert pool.submit(names, store, OTHER).result(PATIENCE) == {"leave"}
    assert names(store, HR) == {"annual pay", "leave pay"}
    assert [fact.chunk_id for fact in store.facts(HR, ["a1", "a2"], 5)] == ["a2"]


def test_nobody_waits_for_the_first_search_of_another_department(engine: GatedEngine) -> None:
    store = GraphStore(engine)
    for scope, document in ((IT, "b"), (OTHER, "c"), (HR, "a")):
        store.replace(scope, scope.departments[0], part(document, about={f"{document}1": f"annual {document}"}))
    store = GraphStore(engine)
    assert names(store, HR) == {"annual a"}
    with halted(engine, "it", lambda: store.named(IT, ["annual"])) as pool:
        assert pool.submit(names, store, HR).result(PATIENCE) == {"annual a"}
        pool.submit(store.replace, HR, "hr", part("a", about={"a2": "annual pay"})).result(PATIENCE)
        pool.submit(store.delete_document, HR, "a").result(PATIENCE)
    assert names(store, HR) == set()
    assert names(store, IT) == {"annual b"}


def test_a_document_is_never_seen_by_half(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    departments = [f"d{number}" for number in range(6)]
    whole = Scope("acme", tuple(departments))

    def version(department: str, number: int) -> dict[str, str]:
        return {f"{department}-{number}-{n}": f"entity {number} {n}" for n in range(40)}

    def write(store: GraphStore, department: str, number: int) -> None:
        store.replace(whole, department, part(department, about=version(department, number), work="Act"))

    def look(store: GraphStore, department: str, until: Future[None]) -> None:
        chunks = [frozenset(version(department, number)) for number in range(3)]
        while True:
            last = until.done()
            seen = store.works(Scope("acme", (department,)), frozenset.union(*chunks)).keys()
            assert seen in chunks
            if last:
                assert seen == chunks[2]
                return

    store = open_graph(settings)
    for department in departments:
        write(store, department, 0)
    store.close()
    store = open_graph(settings)  # so that first searches and first writes of a department meet
    with ThreadPoolExecutor(3) as pool:
        for department in departments:
            start = threading.Barrier(2)

            def write_twice(department: str = department, start: threading.Barrier = start) -> None:
                start.wait(PATIENCE)
                write(store, department, 1)
                write(store, department, 2)

            written = pool.submit(write_twice)
            start.wait(PATIENCE)
            look(store, department, written)
            written.result(PATIENCE)
    store.close()


def test_a_full_disk_says_what_to_do_and_changes_nothing(tmp_path: Path) -> None:
    store = open_graph(Settings(data_dir=tmp_path))
    store.replace(HR, "hr", part("a", about={"a1": "annual leave"}))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(file.stat().st_size for file in tmp_path.iterdir()), hard))
    try:
        with pytest.raises(UpstreamError, match=r"disk is full.*llmflow graph rebuild"):
            store.replace(HR, "hr", part("a", about={f"n{n}": f"sick pay {n}" for n in range(300)}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(store, HR) == {"annual leave"}
    store.close()
    store = open_graph(Settings(data_dir=tmp_path))
    assert names(store, HR) == {"annual leave"}
    store.replace(HR, "hr", part("a", about={"a2": "sick pay"}))
    assert names(store, HR) == {"sick pay"}
    store.close()


def test_a_graph_that_cannot_be_read_says_what_to_do(engine: GatedEngine) -> None:
    with engine.transaction() as run:
        for table in ("HAS_CHUNK", "ABOUT", "MENTIONS", "RELATED_TO", "Entity"):
            run(f"DROP TABLE {table}", {})
    with pytest.raises(UpstreamError, match=r"Entity.*llmflow graph rebuild") as raised:
        GraphStore(engine).counts(HR)
    assert raised.value.param == "graph"
