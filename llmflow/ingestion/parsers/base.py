"""What every parser takes and gives."""

from __future__ import annotations

from dataclasses import dataclass, field

from llmflow.errors import DocumentError
from llmflow.schema import Element, FailureReason
from llmflow.settings import ParsingSettings


@dataclass(frozen=True, slots=True)
class Source:
    """A file's bytes with the name people know it by."""

    data: bytes
    name: str
    settings: ParsingSettings
    depth: int = 0
    """0 for a file, 1 for what is attached to it."""

    @property
    def extension(self) -> str:
        """The name's last suffix in lower case, without the dot."""
        stem, dot, suffix = self.name.rpartition(".")
        return suffix.lower() if dot and stem else ""

    def error(self, reason: FailureReason, what: str) -> DocumentError:
        """The error to raise: ``what`` is wrong with this file and what its owner can do."""
        return DocumentError(reason.value, f"{self.name}: {what}", param=self.name)


@dataclass(slots=True)
class Content:
    """What a parser found, before cleaning.

    ``title`` is the format's own title, if it has one; ``attachments`` are files inside the
    file, as (name, bytes).
    """

    elements: list[Element] = field(default_factory=list)
    title: str | None = None
    warnings: list[str] = field(default_factory=list)
    attachments: list[tuple[str, bytes]] = field(default_factory=list)


def pages_phrase(pages: list[int]) -> str:
    """``page 3`` or ``pages 1-4, 7`` of sorted page numbers."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and page == runs[-1][-1] + 1:
            runs[-1][-1:] = [runs[-1][-1], page] if len(runs[-1]) == 1 else [page]
        else:
            runs.append([page])
    phrase = ", ".join("-".join(str(page) for page in run) for run in runs)
    return f"page {phrase}" if len(pages) == 1 else f"pages {phrase}"
