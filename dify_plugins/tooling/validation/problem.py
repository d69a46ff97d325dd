"""What is wrong, where, what is allowed there, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_SHOWN = 80


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One finding.

    Attributes:
        file: as its reader finds it from the current directory.
        line: counted from 1.
        column: counted from 1.
        what: what is wrong, with the bad value.
        allowed: what may stand there; empty where the remedy says all.
        remedy: what to do.
    """

    file: str
    line: int
    column: int
    what: str
    allowed: str
    remedy: str

    def __str__(self) -> str:
        parts = [self.what, f"allowed: {self.allowed}" if self.allowed else "", self.remedy]
        return f"{self.file}:{self.line}:{self.column}: " + "; ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file."""

    file: Path
    line: int = 1
    column: int = 1

    def problem(self, what: str, *, remedy: str, allowed: str = "") -> Problem:
        """A finding at this place."""
        file = self.file.absolute()
        here = Path.cwd()
        name = file.relative_to(here) if file.is_relative_to(here) else file
        return Problem(name.as_posix(), self.line, self.column, what, allowed, remedy)


def shown(value: object) -> str:
    """A value as messages show it: quoted and of bounded length."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def listed(values: Iterable[object]) -> str:
    """Values in one line, sorted."""
    return ", ".join(sorted(str(value) for value in values)) or "none"


def nearest(word: object, known: Iterable[str]) -> str | None:
    """The known word that ``word`` was probably meant to be."""
    if not isinstance(word, str):
        return None
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def meant(word: object, known: Iterable[str], otherwise: str) -> str:
    """A remedy: the nearest known word, or ``otherwise``."""
    guess = nearest(word, known)
    return f"did you mean {guess!r}?" if guess else otherwise
