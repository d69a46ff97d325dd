"""Which files of a plugin's folder go into its package.

The patterns of ``.difyignore`` are read as Dify's own packer reads them
(https://github.com/langgenius/dify-plugin-daemon, ``pkg/plugin_packager/decoder/fs.go``): like
``.gitignore``, but a pattern that begins with ``!`` brings nothing back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

IGNORE_FILE = ".difyignore"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of ``.difyignore``."""

    number: int
    parts: tuple[str, ...]
    anchored: bool
    """Counts from the plugin's folder on; otherwise any name along the path may match."""
    folders_only: bool

    @classmethod
    def parse(cls, number: int, line: str) -> Pattern:
        text = line.removesuffix("/")
        return cls(number, tuple(text.split("/")), anchored="/" in text, folders_only=line.endswith("/"))

    def matches(self, path: PurePosixPath, *, is_folder: bool) -> bool:
        """Whether the pattern excludes ``path`` (relative to the plugin's folder)."""
        if self.folders_only and not is_folder:
            return False
        if not self.anchored:
            return fnmatchcase(path.name, self.parts[0])
        return _match_parts([part for part in self.parts if part], list(path.parts))


def _match_parts(patterns: list[str], names: list[str]) -> bool:
    if not patterns:
        return True
    if patterns[0] == "**":
        return any(_match_parts(patterns[1:], names[skipped:]) for skipped in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], patterns[0]) and _match_parts(patterns[1:], names[1:])


def packed_files(folder: Path) -> list[PurePosixPath]:
    """The files of the package, relative to ``folder`` and sorted by path."""
    return sorted(_walk(folder, PurePosixPath(), _patterns(folder)), key=str)


def left_out_by(folder: Path, path: PurePosixPath) -> int | None:
    """The line of ``.difyignore`` that keeps the file ``path`` out of the package, from 1."""
    whole = [(path, False), *((parent, True) for parent in path.parents[:-1])]
    for pattern in _patterns(folder):
        if any(pattern.matches(part, is_folder=is_folder) for part, is_folder in whole):
            return pattern.number
    return None


def _patterns(folder: Path) -> list[Pattern]:
    ignore = folder / IGNORE_FILE
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.is_file() else []
    return [
        Pattern.parse(number, line.strip())
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.lstrip().startswith(("#", "!"))
    ]


def _walk(folder: Path, inside: PurePosixPath, patterns: list[Pattern]) -> Iterator[PurePosixPath]:
    for entry in (folder / inside).iterdir():
        path = inside / entry.name
        is_folder = entry.is_dir() and not entry.is_symlink()  # a link is a file that is refused later
        if any(pattern.matches(path, is_folder=is_folder) for pattern in patterns):
            continue
        if is_folder:
            yield from _walk(folder, path, patterns)
        else:
            yield path
