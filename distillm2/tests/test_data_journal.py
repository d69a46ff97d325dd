"""The journal: no file of others is changed, none of ours is lost, one writer at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillm2.data.journal import open_journal
from distillm2.errors import DistillationError

SETTINGS = {"model": "teacher"}
HEADER = b'{"settings": {"model": "teacher"}}\n'


def write(path: Path, *records: dict[str, str], restart: bool = False) -> None:
    with open_journal(path, SETTINGS, bool, restart=restart) as journal:
        for record in records:
            journal.append(record)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        b'[{"precious": 1}]',
        b'{"a": 1}\n{"precious": 2}',
        b'{"prompt": "a"}\n{"prompt": "b"}\n',
        b'{"settings": {"model": "student"',
        b'{"settings": 1}\n',
        b"\n",
        b"\xff\xfe",
    ],
)
def test_a_file_of_others_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes, restart: bool) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(content)
    with pytest.raises(DistillationError, match=r"mine\.json was not written by this command"):
        write(path, {"key": "a"}, restart=restart)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("torn", [b"", HEADER[:5], HEADER[:-1], HEADER, HEADER + b'{"ke'])
def test_what_a_kill_left_is_gone_on_with(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(torn)
    write(path, {"key": "a"})
    assert path.read_bytes() == HEADER + b'{"key": "a"}\n'


def test_other_settings_leave_even_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    content = b'{"settings": {"model": "student"}}\n{"key": "a"}\n{"key'
    path.write_bytes(content)
    with pytest.raises(DistillationError, match="model was 'student', now 'teacher'"):
        write(path)
    assert path.read_bytes() == content


def test_every_restart_keeps_what_was_answered_and_that_only(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(path, {"key": "first"})
    write(path, {"key": "second", "error": "HTTP 500"}, restart=True)
    write(path, {"key": "third"}, restart=True)
    write(path, restart=True)
    write(path, restart=True)
    kept = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert kept == {
        "out.jsonl": b"",
        "out.jsonl.old": HEADER + b'{"key": "first"}\n',
        "out.jsonl.old.2": HEADER + b'{"key": "third"}\n',
    }


@pytest.mark.parametrize("restart", [False, True])
def test_a_second_writer_is_refused_and_moves_nothing(tmp_path: Path, restart: bool) -> None:
    path = tmp_path / "out.jsonl"
    with open_journal(path, SETTINGS, bool) as journal:
        journal.append({"key": "a"})
        with pytest.raises(DistillationError, match="Another process writes"):
            write(path, restart=restart)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("output", [".", "file/out.jsonl"])
def test_a_path_that_cannot_be_written_is_refused_by_name(tmp_path: Path, output: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DistillationError, match="cannot be written"):
        write(tmp_path / output)
