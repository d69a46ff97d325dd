from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from llmflow.errors import InvalidInputError
from llmflow.ingestion.files import find_files, sha256_of


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_folders_are_read_below_in_order_without_hidden_files(tmp_path: Path) -> None:
    second, first, deep = write(tmp_path / "b.md"), write(tmp_path / "a.md"), write(tmp_path / "c" / "가" / "d.md")
    write(tmp_path / ".secret.md")
    write(tmp_path / ".git" / "e.md")
    assert find_files([tmp_path]) == [first, second, deep]


def test_a_file_named_twice_comes_once_and_a_hidden_one_that_is_named_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, hidden = write(tmp_path / "a.md"), write(tmp_path / ".b.md")
    (tmp_path / "link.md").symlink_to(file)
    monkeypatch.chdir(tmp_path)
    assert find_files([file, Path("a.md"), tmp_path, Path("."), Path("link.md")]) == [file]
    assert find_files([hidden]) == [hidden]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    inside = write(tmp_path / "in" / "a.md")
    write(tmp_path / "out" / "b.md")
    (tmp_path / "in" / "out").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "back").symlink_to(tmp_path / "in")
    assert find_files([tmp_path / "in"]) == [inside]


def test_links_that_lead_nowhere_are_listed_to_be_reported(tmp_path: Path) -> None:
    (tmp_path / "gone.md").symlink_to(tmp_path / "nowhere.md")
    (tmp_path / "loop.md").symlink_to(tmp_path / "loop.md")
    assert len(find_files([tmp_path])) == 2


def test_a_path_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="nowhere") as caught:
        find_files([write(tmp_path / "a.md"), tmp_path / "nowhere"])
    assert caught.value.param == str(tmp_path / "nowhere")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_cannot_be_listed_stands_for_its_files(tmp_path: Path) -> None:
    file, closed = write(tmp_path / "a.md"), tmp_path / "closed"
    closed.mkdir(mode=0)
    try:
        assert find_files([tmp_path]) == [file, closed]
    finally:
        closed.chmod(0o700)


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    file = write(tmp_path / "a.md", "연차휴가")
    assert sha256_of(file) == hashlib.sha256("연차휴가".encode()).hexdigest()


def test_what_is_no_regular_file_has_no_sha256(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path(os.devnull)):
        with pytest.raises(OSError, match="no regular file"):
            sha256_of(path)
    with pytest.raises(FileNotFoundError):
        sha256_of(tmp_path / "gone")
