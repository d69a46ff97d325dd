"""One progress bar for all long work on endpoints: done, rate, time left, failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class RateColumn(ProgressColumn):
    """Finished items a second, or a minute where that is more telling."""

    def render(self, task: Task) -> Text:
        """The rate over the last half minute."""
        if not task.speed:
            return Text("-/s")
        return Text(f"{task.speed:.1f}/s" if task.speed >= 1 else f"{60 * task.speed:.1f}/min")


@dataclass
class Counter:
    """Moves the bar."""

    progress: Progress
    task: TaskID
    failed: int = 0

    def finished(self, *, failed: bool = False) -> None:
        """One item more is done, or failed."""
        self.failed += failed
        self.progress.update(self.task, advance=int(not failed), failed=f"{self.failed} failed" if self.failed else "")


@contextmanager
def progress_bar(console: Console | None, label: str, total: int, done: int) -> Iterator[Counter]:
    """A bar of ``total`` items of which ``done`` were done before; silent without a console."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    with Progress(*columns, console=console, disable=console is None, speed_estimate_period=30.0) as progress:
        yield Counter(progress, progress.add_task(label, total=total, completed=done, failed=""))
