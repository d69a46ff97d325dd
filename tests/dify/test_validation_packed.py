"""Which files are packed, as Dify's own packer chooses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dify_plugins.tooling.packed import packed_files

FILES = ["a.py", "a.pyc", "build/x.py", "docs/a.md", "docs/deep/b.md", "src/build/y.py", "src/keep.txt"]


@pytest.mark.parametrize(
    ("pattern", "left_out"),
    [
        ("# a.py", []),
        ("*.py[cod]", ["a.pyc"]),
        ("build", ["build/x.py", "src/build/y.py"]),
        ("build/", ["build/x.py", "src/build/y.py"]),
        ("/build", ["build/x.py"]),
        ("a.py/", []),
        ("src/build/", ["src/build/y.py"]),
        ("docs/*.md", ["docs/a.md"]),
        ("docs/**/*.md", ["docs/a.md", "docs/deep/b.md"]),
        ("**/deep", ["docs/deep/b.md"]),
        ("*.md\n!docs/a.md", ["docs/a.md", "docs/deep/b.md"]),
    ],
)
def test_patterns_are_read_as_dify_reads_them(pattern: str, left_out: list[str], tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".difyignore").write_text(pattern, encoding="utf-8")
    packed = [path.as_posix() for path in packed_files(tmp_path)]
    assert packed == [".difyignore", *(name for name in FILES if name not in left_out)]
