from __future__ import annotations

import hashlib
import io
import os
import stat
import tracemalloc
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmflow.errors import InvalidInputError, NotFoundError
from llmflow.schema import Scope
from llmflow.stores.objects import FileObjectStore, ObjectStore, original_key, originals_folder

ACME = Scope("acme", ("hr",))
GLOBEX = Scope("globex", ("hr",))
CONTENT = "연차 유급휴가는 15일이다.".encode()
SHA = hashlib.sha256(CONTENT).hexdigest()
KEY = original_key("0a" * 16, SHA)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def store(root: Path) -> ObjectStore:
    return FileObjectStore(root)


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def folders(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_dir())


def read(store: ObjectStore, key: str, scope: Scope = ACME) -> bytes:
    with store.open(scope, key) as stream:
        return stream.read()


def test_bytes_files_and_streams_come_back_as_they_were(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "규정.txt"
    path.write_bytes(CONTENT)
    for number, content in enumerate((CONTENT, path, io.BytesIO(CONTENT))):
        stored = store.put(ACME, f"originals/{number}", content)
        assert stored == (f"originals/{number}", len(CONTENT), SHA)
        assert read(store, stored.key) == CONTENT
    assert store.put(ACME, "empty", b"").size_bytes == 0
    assert read(store, "empty") == b""
    assert path.read_bytes() == CONTENT


def test_putting_again_replaces(store: ObjectStore) -> None:
    store.put(ACME, KEY, b"old and longer")
    store.put(ACME, KEY, b"new")
    assert read(store, KEY) == b"new"
    assert list(store.keys(ACME)) == [KEY]


def test_an_original_lies_under_its_tenant_and_document(store: ObjectStore, root: Path) -> None:
    store.put(ACME, KEY, CONTENT)
    assert files(root) == [f"acme/originals/0a/{'0a' * 16}/{SHA}"]


def test_tenants_do_not_see_each_other(store: ObjectStore) -> None:
    store.put(ACME, KEY, CONTENT)
    assert not store.exists(GLOBEX, KEY)
    assert list(store.keys(GLOBEX)) == []
    assert store.delete(GLOBEX, KEY) is False
    with pytest.raises(NotFoundError, match=SHA):
        store.open(GLOBEX, KEY)
    assert store.exists(ACME, KEY)


def test_deleting_one_of_two_documents_with_the_same_bytes_spares_the_other(store: ObjectStore, root: Path) -> None:
    first, second = "aa" * 16, "ab" * 16
    for document in (first, second):
        store.put(ACME, original_key(document, SHA), CONTENT)
    store.put(ACME, original_key(first, "b" * 64), b"an older version")
    for key in list(store.keys(ACME, originals_folder(first))):
        assert store.delete(ACME, key)
    assert files(root) == [f"acme/{original_key(second, SHA)}"]
    assert f"acme/{originals_folder(first)}" not in folders(root)
    assert read(store, original_key(second, SHA)) == CONTENT


def test_deleting_removes_the_folders_left_empty_and_never_the_root(store: ObjectStore, root: Path) -> None:
    store.put(ACME, KEY, CONTENT)
    assert store.delete(ACME, KEY) is True
    assert store.delete(ACME, KEY) is False
    assert folders(root) == [".incoming"]
    store.put(ACME, KEY, CONTENT)
    assert store.exists(ACME, KEY)


def test_keys_are_listed_in_order_and_by_folder(store: ObjectStore) -> None:
    for key in ("b/2", "a/1", "b/1", "ba/1", "c"):
        store.put(ACME, key, b"")
    assert list(store.keys(ACME)) == ["a/1", "b/1", "b/2", "ba/1", "c"]
    assert list(store.keys(ACME, "b")) == ["b/1", "b/2"]
    assert list(store.keys(ACME, "nothing")) == []


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "..",
        "../x",
        "a/../b",
        "a/./b",
        "/etc/passwd",
        "a//b",
        "a/",
        "A",
        "한글",
        "a\\b",
        "a\0b",
        "a\n",
        ".incoming/x",
    ],
)
def test_keys_outside_the_rules_are_refused_everywhere(store: ObjectStore, root: Path, key: str) -> None:
    store.put(ACME, "a/b", b"kept")
    before = files(root)
    for call in (
        lambda: store.put(ACME, key, b"x"),
        lambda: store.open(ACME, key),
        lambda: store.exists(ACME, key),
        lambda: store.delete(ACME, key),
    ):
        with pytest.raises(InvalidInputError, match="is not allowed"):
            call()
    if key:
        with pytest.raises(InvalidInputError):
            list(store.keys(ACME, key))
    assert files(root) == before


TENANTS = [
    "..",
    "../../etc",
    "/",
    ".incoming",
    "a/b",
    "ACME",
    "인사팀",
    unicodedata.normalize("NFD", "인사팀"),
    "a\0",
    "%61cme",
]


@pytest.mark.parametrize("tenant", TENANTS)
def test_any_tenant_name_stays_inside_and_apart(store: ObjectStore, root: Path, tmp_path: Path, tenant: str) -> None:
    store.put(ACME, "k", b"acme")
    scope = Scope(tenant, ("hr",))
    assert not store.exists(scope, "k")
    store.put(scope, "k", b"theirs")
    assert (read(store, "k"), read(store, "k", scope)) == (b"acme", b"theirs")
    assert list(store.keys(scope)) == ["k"]
    assert len(files(root)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["objects"]
    # Apart also where the file system takes upper for lower case, or composes Hangul.
    assert all(path == path.lower() and path.isascii() for path in files(root))


@pytest.mark.parametrize("tenant", ["", "가" * 40])
def test_a_tenant_that_cannot_name_a_folder_is_refused(store: ObjectStore, tenant: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot name a folder"):
        store.put(Scope(tenant, ()), "k", b"")


def test_a_key_cannot_be_both_object_and_folder(store: ObjectStore, root: Path) -> None:
    store.put(ACME, "a/b", b"1")
    for key in ("a/b/c", "a"):
        with pytest.raises(InvalidInputError, match="folder of another"):
            store.put(ACME, key, b"2")
        assert not store.exists(ACME, key)
        assert store.delete(ACME, key) is False
        with pytest.raises(NotFoundError):
            store.open(ACME, key)
    assert files(root) == ["acme/a/b"]


class Failing(io.RawIOBase):
    def __init__(self) -> None:
        self.left = 3

    def read(self, size: int = -1) -> bytes:
        self.left -= 1
        if self.left:
            return b"x" * 1000
        raise OSError("the disk went away")


def test_a_write_that_fails_leaves_the_old_object_and_no_rest(store: ObjectStore, root: Path) -> None:
    store.put(ACME, KEY, CONTENT)
    with pytest.raises(OSError, match="went away"):
        store.put(ACME, KEY, Failing())  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        store.put(ACME, KEY, Path("/no/such/file"))
    assert read(store, KEY) == CONTENT
    assert len(files(root)) == 1


def test_rests_of_a_killed_process_are_removed_later(root: Path) -> None:
    FileObjectStore(root)
    rest, fresh = root / ".incoming" / "rest", root / ".incoming" / "fresh"
    for path in (rest, fresh):
        path.write_bytes(b"half of a document")
    os.utime(rest, (0, 0))
    FileObjectStore(root)
    assert files(root) == [".incoming/fresh"]


def test_only_the_owner_may_read(store: ObjectStore, root: Path) -> None:
    store.put(ACME, "k", b"")
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "acme" / "k").stat().st_mode) == 0o600


def test_a_large_file_streams_through_little_memory(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    try:
        assert store.put(ACME, "large", path).size_bytes == 64 << 20
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_threads_put_and_delete_in_the_same_folder(store: ObjectStore) -> None:
    def churn(worker: int) -> None:
        for _ in range(20):
            store.put(ACME, f"a/b/{worker}", b"x")
            assert store.delete(ACME, f"a/b/{worker}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(churn, range(4)))
    assert list(store.keys(ACME)) == []
