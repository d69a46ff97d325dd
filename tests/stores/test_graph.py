"""The contract of the graph store: on ladybug, and on the Neo4j server that the environment names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from graph_parts import part
from pydantic import SecretStr

from llmflow.errors import ConfigurationError, InvalidInputError, NotFoundError, StoreHeldError
from llmflow.schema import Fact, Scope
from llmflow.settings import GraphSettings, Settings
from llmflow.stores.graph import GraphStore, open_graph

NEO4J = "LLMFLOW_TEST_NEO4J"
HR = Scope("acme", ("hr",))
IT = Scope("acme", ("it",))
OTHER = Scope("rival", ("hr",))
Open = Callable[[], GraphStore]


@pytest.fixture(params=["ladybug", "neo4j"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same graph again, closing what was opened before."""
    settings = Settings(data_dir=tmp_path)
    if request.param == "neo4j":
        if NEO4J not in os.environ:
            pytest.skip(f"{NEO4J} names no server (bolt://HOST:PORT, password in {NEO4J}_PASSWORD)")
        pytest.importorskip("neo4j", reason="the extra neo4j is not installed")
        password = SecretStr(os.environ.get(f"{NEO4J}_PASSWORD", ""))
        settings = Settings(data_dir=tmp_path, graph=GraphSettings(uri=os.environ[NEO4J], password=password))
    opened: list[GraphStore] = []

    def again() -> GraphStore:
        if opened:
            opened.pop().close()
        opened.append(open_graph(settings))
        return opened[-1]

    store = again()
    for document, scope in store.all_documents().items():
        store.delete_document(scope, document)
    yield again
    opened.pop().close()


@pytest.fixture
def store(reopen: Open) -> GraphStore:
    return reopen()


def names(store: GraphStore, scope: Scope, *terms: str) -> set[tuple[str, str]]:
    return {(found.chunk_id, found.name) for found in store.named(scope, terms)}


def test_what_is_written_is_found(store: GraphStore) -> None:
    store.replace(
        HR,
        "hr",
        part(
            "law",
            about={"c1": "annual leave", "c2": "sick pay"},
            mentions=(("c2", "annual leave"),),
            relations=(("sick pay", "refers_to", "annual leave", "c2"),),
            work="Labour Act",
        ),
    )
    assert names(store, HR, "annual", "leave", "when") == {("c1", "annual leave")}
    assert store.referred(HR, {"c2": 0.5}) == {"c1": (0.5, "c2")}
    works = store.works(HR, ["c1", "c2", "unknown"])
    assert works["c1"] == works["c2"] != ()
    assert "unknown" not in works
    assert store.facts(HR, ["c2"], 5) == [Fact("sick pay", "refers_to", "annual leave", "c2")]
    found = store.neighbourhood(HR, "Annual-Leave")
    assert (found.name, found.types) == ("annual leave", ("subject",))
    assert [(row["chunk"], row["document_name"], row["role"]) for row in found.about] == [("c1", "law.pdf", "name")]
    assert [(row["chunk"], row["confidence"]) for row in found.mentioned] == [("c2", 0.5)]
    assert [(row["subject"], row["object"], row["hop"]) for row in found.relations] == [("sick pay", "annual leave", 1)]
    assert store.counts(HR) == {"subject": 2, "work": 1}


def test_a_graph_opened_again_answers_the_same(reopen: Open) -> None:
    def picture(store: GraphStore) -> Any:
        return (
            sorted(store.named(HR, ["annual", "leave", "pay"]), key=lambda found: found.chunk_id),
            store.referred(HR, {"c2": 0.5, "c3": 0.25}),
            store.works(HR, ["c1", "c2", "c3"]),
            store.facts(HR, ["c2", "c3"], 5),
        )

    store = reopen()
    store.named(HR, ["annual"])  # it is in memory before anything is written
    store.replace(HR, "hr", part("law", about={"c1": "annual leave", "c2": "sick pay"}, work="Labour Act"))
    store.replace(HR, "hr", part("note", about={"c3": "pay"}, mentions=(("c3", "annual leave"), ("c3", "sick pay"))))
    store.replace(HR, "hr", part("law", about={"c1": "annual leave", "c2": "sick pay"}, mentions=(("c2", "pay"),)))
    before = picture(store)
    assert before[0]
    assert before[1]
    assert picture(reopen()) == before


def test_a_mention_finds_what_is_ingested_after_it(store: GraphStore) -> None:
    store.replace(HR, "hr", part("note", mentions=(("c1", "Travel Policy"),)))
    assert store.referred(HR, {"c1": 1.0}) == {}
    store.replace(HR, "hr", part("policy", about={"c2": "Travel policy"}))
    assert store.referred(HR, {"c1": 1.0}) == {"c2": (1.0, "c1")}
    assert names(store, HR, "Travel", "policy") == {("c2", "Travel policy")}


def test_nothing_crosses_departments_or_tenants(store: GraphStore) -> None:
    for scope, suffix in ((HR, "hr"), (IT, "it"), (OTHER, "rival")):
        store.replace(
            scope,
            scope.departments[0],
            part(
                f"doc-{suffix}",
                about={f"a-{suffix}": "annual leave"},
                mentions=((f"b-{suffix}", "annual leave"),),
                relations=((f"secret of {suffix}", "kept_in", "annual leave", f"b-{suffix}"),),
            ),
        )
    assert names(store, HR, "annual", "leave") == {("a-hr", "annual leave")}
    assert names(store, Scope("acme", ("hr", "it")), "annual", "leave") == {
        ("a-hr", "annual leave"),
        ("a-it", "annual leave"),
    }
    assert store.referred(HR, {"b-it": 1.0, "b-rival": 1.0}) == {}
    assert store.referred(HR, {"b-hr": 1.0}) == {"a-hr": (1.0, "b-hr")}
    assert store.works(HR, ["a-it", "a-rival"]) == {}
    assert store.facts(HR, ["b-it", "b-rival"], 5) == []
    shown = store.neighbourhood(HR, "annual leave", hops=2)
    assert [row["chunk"] for row in shown.about] == ["a-hr"]
    assert [row["subject"] for row in shown.relations] == ["secret of hr"]
    with pytest.raises(NotFoundError, match="secret of it"):
        store.neighbourhood(HR, "secret of it")
    store.delete_document(HR, "doc-it")
    assert names(store, IT, "annual", "leave") == {("a-it", "annual leave")}
    with pytest.raises(InvalidInputError, match="hr"):
        store.replace(HR, "it", part("doc-x", about={"x": "annual leave"}))


def test_the_statistics_of_another_department_do_not_show(store: GraphStore) -> None:
    store.replace(HR, "hr", part("a", about={"a": "annual leave", "b": "sick leave"}))
    before = store.named(HR, ["annual", "leave"])
    store.replace(IT, "it", part("b", about={f"x{n}": f"annual report {n}" for n in range(20)}))
    assert store.named(HR, ["annual", "leave"]) == before


def test_deleting_takes_what_nobody_else_names(store: GraphStore) -> None:
    store.replace(HR, "hr", part("a", about={"a": "annual leave"}, mentions=(("a", "Kim Co"),)))
    store.replace(
        HR,
        "hr",
        part(
            "b",
            mentions=(("b", "annual leave"), ("b", "Lee Co")),
            relations=(("Lee Co", "grants", "annual leave", "b"),),
        ),
    )
    store.delete_document(HR, "b")
    assert store.neighbourhood(HR, "annual leave").relations == []
    with pytest.raises(NotFoundError, match="no entity 'Lee Co'"):
        store.neighbourhood(HR, "Lee Co")
    assert store.neighbourhood(HR, "Kim Co").mentioned[0]["chunk"] == "a"
    store.delete_document(HR, "a")
    store.delete_document(HR, "a")
    assert store.counts(HR) == {}
    assert store.all_documents() == {}
    assert store.named(HR, ["annual", "leave"]) == []


def test_a_replaced_document_leaves_nothing_behind(store: GraphStore) -> None:
    store.replace(
        HR,
        "hr",
        part("a", about={"a1": "old name"}, mentions=(("a2", "old name"),), relations=(("x", "r", "old name", "a2"),)),
    )
    store.replace(HR, "hr", part("a", about={"a3": "new name"}))
    assert store.counts(HR) == {"subject": 1}
    assert names(store, HR, "old", "new", "name") == {("a3", "new name")}
    assert store.facts(HR, ["a1", "a2"], 5) == []


def test_a_part_that_cannot_be_written_changes_nothing(store: GraphStore) -> None:
    store.replace(HR, "hr", part("a", about={"a1": "annual leave"}))
    clash = part("b", about={"a1": "sick pay"})  # the chunk of another document
    with pytest.raises(Exception, match="a1"):
        store.replace(HR, "hr", clash)
    assert names(store, HR, "annual", "leave", "sick", "pay") == {("a1", "annual leave")}
    assert store.counts(HR) == {"subject": 1}
    store.replace(HR, "hr", part("b", about={"b1": "sick pay"}))
    assert store.counts(HR) == {"subject": 2}


def test_relations_two_hops_away(store: GraphStore) -> None:
    chain = tuple((f"n{number}", "next", f"n{number + 1}", "c") for number in range(4))
    mentions = tuple(("c", f"n{number}") for number in range(5))
    store.replace(HR, "hr", part("a", mentions=mentions, relations=chain))
    hops = [(row["hop"], row["subject"], row["object"]) for row in store.neighbourhood(HR, "n0", hops=2).relations]
    assert hops == [(1, "n0", "n1"), (2, "n1", "n2")]


def test_facts_that_lead_to_another_passage_come_first(store: GraphStore) -> None:
    store.replace(
        HR,
        "hr",
        part(
            "a",
            about={"a1": "one", "a2": "two"},
            mentions=(("a1", "far"), ("a1", "two")),
            relations=(("one", "names", "far", "a1"), ("one", "names", "two", "a1")),
        ),
    )
    assert [fact.object for fact in store.facts(HR, ["a1", "a2"], 5)] == ["two", "far"]
    assert [fact.object for fact in store.facts(HR, ["a1", "a2"], 1)] == ["two"]


def test_an_unknown_entity_names_what_comes_near(store: GraphStore) -> None:
    store.replace(HR, "hr", part("a", about={"a": "annual leave"}))
    with pytest.raises(NotFoundError, match="it has annual leave"):
        store.neighbourhood(HR, "leave")


def test_one_process_writes_and_another_may_look(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with pytest.raises(NotFoundError, match="graph rebuild"):
        open_graph(settings, read_only=True)
    writer = open_graph(settings)
    writer.replace(HR, "hr", part("a", about={"a": "annual leave"}))
    held = f"""
from pathlib import Path
from llmflow.schema import Scope
from llmflow.settings import Settings
from llmflow.stores.graph import open_graph
settings = Settings(data_dir=Path({str(tmp_path)!r}))
print(open_graph(settings, read_only=True).neighbourhood(Scope("acme", ("hr",)), "annual leave").about[0]["chunk"])
try:
    open_graph(settings)
except Exception as error:
    print(type(error).__name__)
"""
    ran = subprocess.run([sys.executable, "-c", held], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split() == ["a", StoreHeldError.__name__]
    writer.close()


def test_neo4j_without_its_driver_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neo4j", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'llmflow\[neo4j\]'"):
        open_graph(Settings(data_dir=tmp_path, graph=GraphSettings(uri="bolt://localhost:1")))
