"""Where commands write: results to standard output, progress and errors to standard error."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_LOG_WIDTH = 100
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def results() -> Console:
    """The console of results, on standard output."""
    return _console(sys.stdout)


def notices() -> Console:
    """The console of progress and errors, on standard error."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    # Files and pipes have no width; rich would take 80 columns, too few for a table of Korean text.
    width = None if stream.isatty() or "COLUMNS" in os.environ else _LOG_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def printable(text: str) -> str:
    """``text`` without characters that steer a terminal; documents and file names may hold such."""
    return _CONTROL.sub("\ufffd", text)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """``value`` as JSON on standard output; dataclasses become objects, times ISO 8601."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=indent, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def working(what: str) -> AbstractContextManager[object]:
    """A spinner on standard error while something takes its time; nothing where that is no terminal."""
    console = notices()
    return console.status(what) if console.is_terminal else nullcontext()


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A function of (step, done, total) that keeps a bar for each step on standard error."""
    console = notices()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield show
