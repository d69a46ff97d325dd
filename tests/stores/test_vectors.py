from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rows import WIDTH, row

from llmflow.errors import InvalidInputError, StoreHeldError
from llmflow.schema import Chunk, ElementType, Scope
from llmflow.stores.vectors import ChunkRow, VectorStore

HR = Scope("acme", ("hr",))
HERE = Path(__file__).parent

FULL = ChunkRow(
    Chunk(
        id="c1", document_id="d1", tenant="acme", department="hr", ordinal=7,
        text='제60조 "연차"\n1,000원 \\ 끝\t| a | b |', title="근로기준법 'x'", document_name="규정 (2026).pdf",
        section_path=("제4장", '"휴가"', "제60조"), page=3, element_type=ElementType.TABLE, article="제60조의2",
    ),
    {2: 1.5, 4_294_967_294: 3.0}, ({2: 1.0}, {}, {4: 2.5, 4_294_967_293: 1.0}),
    np.arange(WIDTH, dtype=np.float32),
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VectorStore]:
    opened = VectorStore(str(tmp_path_factory.mktemp("vectors") / "milvus.db"), "chunks", WIDTH)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def emptied(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "store" in request.fixturenames:
        store = request.getfixturevalue("store")
        documents = {(each.chunk.tenant, each.chunk.department, each.chunk.document_id) for each in store.rows()}
        for tenant, department, document in documents:
            store.delete_document(Scope(tenant, (department,)), document)
        assert list(store.rows()) == []


def assert_equal_rows(one: ChunkRow, other: ChunkRow) -> None:
    assert (one.chunk, one.lexical, one.passages) == (other.chunk, other.lexical, other.passages)
    np.testing.assert_array_equal(one.embedding, other.embedding)


def collections(store: VectorStore) -> set[str]:
    return set(store._client.list_collections())


def test_a_chunk_comes_back_as_it_was(store: VectorStore) -> None:
    bare = row("c2", "d1", text="", title="", page=None, article=None)
    store.upsert(HR, [FULL, bare])
    assert store.get(HR, ["c2", "c1", "nothing"]) == {"c1": FULL.chunk, "c2": bare.chunk}
    stored = {each.chunk.id: each for each in store.rows()}
    assert_equal_rows(stored["c1"], FULL)
    assert_equal_rows(stored["c2"], bare)
    assert store.get(HR, []) == {}


def test_chunks_come_in_reading_order(store: VectorStore) -> None:
    store.upsert(HR, [row(f"c{n}", "d1", ordinal=n) for n in (11, 2, 0, 10, 1)] + [row("x", "d2", ordinal=5)])
    assert [chunk.ordinal for chunk in store.chunks_of(HR, "d1")] == [0, 1, 2, 10, 11]
    assert store.chunks_of(HR, "none") == []


def test_a_replaced_chunk_leaves_nothing_of_itself(store: VectorStore) -> None:
    store.upsert(HR, [row("c1", passages=({2: 1.0}, {4: 1.0}, {6: 1.0})), row("c2", passages=({8: 1.0}, {8: 2.0}))])
    new = row("c1", text="neu", passages=({10: 1.0},), lexical={10: 1.0})
    store.upsert(HR, [new])
    stored = {each.chunk.id: each for each in store.rows()}
    assert_equal_rows(stored["c1"], new)
    assert stored["c2"].passages == ({8: 1.0}, {8: 2.0})


def test_deleting_a_document_removes_every_trace(store: VectorStore) -> None:
    store.upsert(HR, [row(f"c{n}", f"d{n % 2}", passages=({2: 1.0}, {4: 1.0})) for n in range(6)])
    store.delete_document(HR, "d1")
    assert {each.chunk.document_id for each in store.rows()} == {"d0"}
    left = store._client.query("chunks_v_none_passages", filter="id != ''", output_fields=["document_id"])
    assert {each["document_id"] for each in left} == {"d0"}
    assert store.chunks_of(HR, "d1") == []


def test_more_rows_than_a_batch_come_back(store: VectorStore) -> None:
    rows = [row(f"c{n:04}", f"d{n % 3}", passages=({2: float(n + 1)}, {4: 1.0}), ordinal=n) for n in range(1203)]
    store.upsert(HR, rows)
    stored = sorted(store.rows(), key=lambda each: each.chunk.id)
    assert [each.chunk.id for each in stored] == [each.chunk.id for each in rows]
    assert stored[777].passages == rows[777].passages
    assert len(store.chunks_of(HR, "d0")) == 401


def test_a_scope_sees_and_deletes_its_own_only(store: VectorStore) -> None:
    store.upsert(HR, [row("mine", "d")])
    store.upsert(Scope("acme", ("it",)), [row("other", "d", department="it")])
    store.upsert(Scope("rival", ("hr",)), [row("theirs", "d", tenant="rival")])
    everything = ["mine", "other", "theirs"]
    assert set(store.get(HR, everything)) == {"mine"}
    assert set(store.get(Scope("acme", ("hr", "it")), everything)) == {"mine", "other"}
    assert [chunk.id for chunk in store.chunks_of(HR, "d")] == ["mine"]
    for nobody in (Scope("acme", ()), Scope("acme", ("sales",)), Scope("nobody", ("hr", "it"))):
        store.delete_document(nobody, "d")
        assert store.get(nobody, everything) == {}
        assert store.chunks_of(nobody, "d") == []
    store.delete_document(HR, "d")
    assert {each.chunk.id for each in store.rows()} == {"other", "theirs"}
    assert all(len(each.passages) == 1 for each in store.rows())


@pytest.mark.parametrize("outside", [{"tenant": "rival"}, {"department": "it"}])
def test_writing_outside_the_scope_is_refused(store: VectorStore, outside: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError, match=r"chunk bad .*outside the scope acme/hr") as error:
        store.upsert(HR, [row("good"), row("bad", **outside)])  # type: ignore[arg-type]
    assert error.value.param == "scope"
    assert list(store.rows()) == []


@pytest.mark.parametrize(
    "name",
    [
        'x" or tenant_id != "', 'x"] or tenant_id != "y', "x' or '1'=='1", "한국 주식회사", "부서 \"1\" 'a'",
        "back\\slash", "ends with \\", '\\"', "per%cent_", "new\nline", "{tenant_id}", "a and department in ['hr']",
        "tab\t\b\f\r\x01\x7f\u2028", "😀",
    ],
)  # fmt: skip
def test_names_are_values_never_conditions(store: VectorStore, name: str) -> None:
    store.upsert(HR, [row("mine", "d")])
    odd = Scope(name, (name,))
    assert store.chunks_of(odd, "d") == []
    assert store.chunks_of(HR, name) == []
    store.delete_document(odd, "d")
    store.delete_document(Scope("acme", (name,)), "d")
    store.delete_document(HR, name)
    assert set(store.get(HR, ["mine"])) == {"mine"}
    store.upsert(odd, [row("odd", name, tenant=name, department=name)])
    assert [chunk.id for chunk in store.chunks_of(odd, name)] == ["odd"]
    assert store.get(odd, ["odd", "mine"])["odd"].tenant == name
    store.delete_document(odd, name)
    assert {each.chunk.id for each in store.rows()} == {"mine"}


@pytest.mark.parametrize("id_", ["a'b", 'a"b', "x'] or id != '' or id in ['", 'x"] or id != "', "\\", "끝\n\x01'"])
def test_ids_are_values_never_conditions(store: VectorStore, id_: str) -> None:
    store.upsert(HR, [row("mine", "d")])
    store.upsert(Scope("rival", ("hr",)), [row("theirs", "d", tenant="rival")])
    assert store.get(HR, [id_]) == {}
    assert store._read([id_], ("id",)) == [], "no row of another tenant is read either"
    assert set(store.get(HR, [id_, "mine", "theirs"])) == {"mine"}


def test_everything_survives_closing_and_reopening(tmp_path: Path) -> None:
    path = str(tmp_path / "folder" / "milvus.db")
    store = VectorStore(path, "chunks", WIDTH)
    assert store.version == "none"
    store.upsert(HR, [FULL, row("c2", "d2")])
    store.close()
    again = VectorStore(path, "chunks", WIDTH)
    assert again.get(HR, ["c1"]) == {"c1": FULL.chunk}
    assert_equal_rows(next(each for each in again.rows() if each.chunk.id == "c1"), FULL)
    again.delete_document(HR, "d1")
    assert [each.chunk.id for each in again.rows()] == ["c2"]
    again.close()


def test_learned_weights_are_kept_where_the_embedder_gives_them(tmp_path: Path) -> None:
    path = str(tmp_path / "milvus.db")
    store = VectorStore(path, "chunks", WIDTH)
    assert store.is_empty()
    store.upsert(HR, [row("c1", learned={5: 1.0})])
    assert not store.is_empty()
    assert not store.learns_terms
    assert [each.learned for each in store.rows()] == [{}], "a collection without room for them keeps none"
    rows = [row("c1", learned={5: 1.5, 250_001: 0.25}), row("c2", learned={})]
    store.rebuild("tei_model_8_sparse", rows, learns_terms=True)
    store.upsert(HR, [row("c3", learned={7: 2.0})])
    store.close()
    again = VectorStore(path, "chunks", WIDTH)
    assert again.learns_terms
    stored = {each.chunk.id: each for each in again.rows()}
    assert {id_: each.learned for id_, each in stored.items()} == {
        "c1": {5: 1.5, 250_001: 0.25}, "c2": {}, "c3": {7: 2.0},
    }  # fmt: skip
    assert {each.embedder for each in stored.values()} == {"tei_model_8_sparse"}
    again.rebuild("none", list(stored.values()))
    assert (again.learns_terms, again.version) == (False, "none")
    again.close()


def test_a_rebuild_swaps_versions_and_widths(tmp_path: Path) -> None:
    path = str(tmp_path / "milvus.db")
    store = VectorStore(path, "chunks", WIDTH)
    other = VectorStore(path, "chunks_other", WIDTH)
    other.upsert(HR, [row("kept")])
    store.upsert(HR, [FULL, row("c2")])
    rows = [replace(each, embedding=np.full(5, 0.5, np.float32)) for each in store.rows()]
    store.rebuild("abc123", rows)
    assert (store.version, store.dimensions) == ("abc123", 5)
    assert {name for name in collections(store) if name.startswith("chunks_v_")} == {
        "chunks_v_abc123",
        "chunks_v_abc123_passages",
    }
    assert [each.embedding.tolist() for each in store.rows()] == [[0.5] * 5] * 2
    assert store.get(HR, ["c1"]) == {"c1": FULL.chunk}
    store.upsert(HR, [replace(row("c3"), embedding=np.ones(5, np.float32))])
    store.close()
    # A width set anew counts for the next embedder, not for the vectors there are.
    again = VectorStore(path, "chunks", 64)
    assert (again.version, again.dimensions) == ("abc123", 5)
    assert {each.chunk.id for each in again.rows()} == {"c1", "c2", "c3"}
    assert "chunks_other_v_none" in collections(again)
    again.close()


def test_a_rebuild_to_the_same_version_loses_nothing(tmp_path: Path) -> None:
    store = VectorStore(str(tmp_path / "milvus.db"), "chunks", WIDTH)
    store.upsert(HR, [FULL])
    for version in ("v1", "v1", "v2", "v1"):
        store.rebuild(version, list(store.rows()))
        assert_equal_rows(next(store.rows()), FULL)
        assert store.version == version
    store.close()


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, cwd=HERE, check=False
    )


KILLED_REBUILD = """
import os, signal, sys
from rows import WIDTH, row
from llmflow.schema import Scope
from llmflow.stores.vectors import VectorStore

class Dying(list):
    def __getitem__(self, at):
        if isinstance(at, slice) and at.start:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(at)

store = VectorStore(sys.argv[1], "chunks", WIDTH)
store.upsert(Scope("acme", ("hr",)), [row(f"c{n}") for n in range(3)])
store.rebuild("v2", Dying(row(f"c{n}") for n in range(600)))
"""


def test_a_killed_rebuild_leaves_the_old_rows_and_no_rubbish(tmp_path: Path) -> None:
    path = str(tmp_path / "milvus.db")
    killed = run(KILLED_REBUILD, path)
    assert killed.returncode == -9, killed.stderr
    store = VectorStore(path, "chunks", WIDTH)
    assert store.version == "none"
    assert sorted(each.chunk.id for each in store.rows()) == ["c0", "c1", "c2"]
    assert collections(store) == {"chunks_v_none", "chunks_v_none_passages"}
    store.rebuild("v2", list(store.rows()))
    assert len(list(store.rows())) == 3
    store.close()


OPEN = """
import sys
from llmflow.errors import StoreHeldError
from llmflow.stores.vectors import VectorStore
try:
    VectorStore(sys.argv[1], "chunks", 8).close()
except StoreHeldError as error:
    print(error.code, error.param, error)
else:
    print("opened")
"""


def test_one_process_holds_the_store_until_it_closes_it(tmp_path: Path) -> None:
    path = str(tmp_path / "milvus.db")
    store = VectorStore(path, "chunks", WIDTH)
    held = run(OPEN, path)
    assert held.stdout.startswith(f"store_held vectors.uri {path} cannot be opened"), held.stderr
    assert "wait for it to end or stop it" in held.stdout
    assert "Traceback" not in held.stderr
    store.close()
    assert run(OPEN, path).stdout == "opened\n"


def test_an_error_of_the_engine_is_told_once(
    store: VectorStore, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(Exception, match="dim"):
        store.upsert(HR, [replace(row("c1"), embedding=np.ones(3, np.float32))])
    with pytest.raises(StoreHeldError, match=r"\.db"):
        VectorStore(str(tmp_path / "no_suffix"), "chunks", WIDTH)
    assert capfd.readouterr().err == ""
