"""One change to a copy of a plugin or flow, and the finding it must lead to."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from dify_plugins.tooling.validation import Problem


@dataclass(frozen=True)
class Change:
    """A text replaced in a file.

    Attributes:
        file: inside the folder that is copied.
        old: where the change is made, the first time it stands in the file.
        message: what the finding must say.
        line_of: text of the line that the finding must point at; the changed one if empty.
        found_in: the file of that line, where it is not the changed one.
    """

    file: str
    old: str
    new: str
    message: str
    line_of: str = ""
    found_in: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.message}"

    def apply(self, folder: Path) -> tuple[Path, int]:
        """Make the change; the file and the line (from 1) where the finding belongs."""
        path = folder / self.file
        text = path.read_text(encoding="utf-8")
        assert self.old in text, f"{self.file} no longer has {self.old!r}; the change has nothing to change"
        start = text.index(self.old)
        changed = text[:start] + self.new + text[start + len(self.old) :]
        path.write_text(changed, encoding="utf-8")
        place = folder / (self.found_in or self.file)
        content = place.read_text(encoding="utf-8")
        at = content.index(self.line_of) if self.line_of else start
        return place, content.count("\n", 0, at) + 1


def copy_plugin(source: Path, to: Path) -> Path:
    """The plugin without what running it left behind."""
    folder = to / source.name
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache", ".ruff_cache"))
    return folder


def assert_found(problems: list[Problem], file: Path, line: int, message: str) -> None:
    """One of the findings names the place, says ``message``, and says what to do."""
    found = [problem for problem in problems if Path(problem.file) == file and problem.line == line]
    said = "\n".join(map(str, problems))
    assert any(message in str(problem) and problem.remedy for problem in found), (
        f"{file}:{line} {message!r} not in\n{said}"
    )
