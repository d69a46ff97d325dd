"""Documents and what became of them, as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llmflow.cli.output import printable
from llmflow.ingestion.pipeline import Outcome
from llmflow.schema import Document, DocumentStatus, Job

SHORT_ID = 8
_MAX_WARNINGS = 20
_UNCHANGED = "unchanged"
_STYLES = {
    "ready": "green",
    "unchanged": "dim",
    "empty": "yellow",
    "needs_ocr": "yellow",
    "refused": "red",
    "failed": "bold red",
}


def table(*headers: str, title: str | None = None, right: Sequence[str] = (), wide: Sequence[str] = ()) -> Table:
    """An empty table in the house's style: columns in ``right`` are right-aligned, only those in ``wide`` wrap."""
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        header_style="bold",
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for header in headers:
        justify: Literal["left", "right"] = "right" if header in right else "left"
        made.add_column(header, justify=justify, overflow="fold", no_wrap=header not in wide)
    return made


def count_outcomes(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many files ended where; every status is there, with 0 where it has none."""
    counts = Counter(_fate(outcome) for outcome in outcomes)
    return {status: counts[status] for status in _STYLES}


def print_outcomes(console: Console, outcomes: Sequence[Outcome], seconds: float) -> None:
    """A row for each status, then each file that did not become ready, what was left out, and the sum."""
    if not outcomes:
        return
    counts = table("status", "files", right=("files",))
    for status, count in count_outcomes(outcomes).items():
        if count:
            counts.add_row(_status(status), f"{count:,}")
    console.print(counts)
    _print_not_ready(console, [outcome.document for outcome in outcomes])
    done = [outcome.document for outcome in outcomes if _fate(outcome) == DocumentStatus.READY]
    _print_warnings(console, done)
    console.print(
        f"\n{len(done):,} documents, {sum(document.chunks_count for document in done):,} chunks,"
        f" {sum(document.entities_count for document in done):,} pieces of personal data masked, {seconds:.1f} s"
    )


def print_documents(console: Console, documents: Sequence[Document], total: int) -> None:
    """A row for each document."""
    if not documents:
        console.print("no documents; `llmflow ingest PATH` brings some in")
        return
    numbers = ("chunks", "masked", "size")
    headers = ["id", "name", "department", "status", "chunks", "masked", "size", "updated"]
    if reasons := any(document.reason for document in documents):
        headers.append("reason")
    rows = table(*headers, right=numbers, wide=("name", "department"))
    for document in documents:
        cells: list[str | Text] = [
            document.id[:SHORT_ID],
            printable(document.name),
            printable(document.department),
            _status(document.status),
            f"{document.chunks_count:,}",
            f"{document.entities_count:,}",
            size(document.size_bytes),
            moment(document.updated_at),
        ]
        rows.add_row(*cells, *([document.reason or ""] if reasons else []))
    console.print(rows)
    if total > len(documents):
        console.print(f"{len(documents):,} of {total:,}; more with --limit and --offset")


def print_document(console: Console, document: Document, jobs: Sequence[Job]) -> None:
    """All that is known of a document, and its ingestions."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    values: list[tuple[str, str | Text | None]] = [
        ("id", document.id),
        ("name", document.name),
        ("source", document.source),
        ("tenant", document.tenant),
        ("department", document.department),
        ("status", _status(document.status)),
        ("reason", document.reason),
        ("message", document.message),
        ("type", document.mime_type),
        ("size", f"{size(document.size_bytes)} ({document.size_bytes:,} bytes)"),
        ("sha256", document.sha256),
        ("chunks", f"{document.chunks_count:,}"),
        ("masked", f"{document.entities_count:,}"),
        ("created", moment(document.created_at)),
        ("updated", moment(document.updated_at)),
        *(("warning", warning) for warning in document.warnings),
    ]
    for name, value in values:
        if value:
            facts.add_row(name, value if isinstance(value, Text) else printable(value))
    console.print(facts)
    rows = table("job", "status", "last stage", "started", "trace", "error", title="Ingestions", wide=("error",))
    for job in jobs:
        trace = (job.trace_id or "")[:SHORT_ID]
        cells = (job.status, job.stage or "", moment(job.created_at), trace, printable(job.error or ""))
        rows.add_row(job.id[:SHORT_ID], *cells)
    console.print()
    console.print(rows)


def size(count: int) -> str:
    """A number of bytes for people."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if amount >= 10 or unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def moment(time: datetime | None) -> str:
    """A time in the time zone of this machine."""
    return "" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M}"


def _print_not_ready(console: Console, documents: Sequence[Document]) -> None:
    rows = table("file", "status", "reason", "message", wide=("file", "message"))
    for document in documents:
        if document.status is not DocumentStatus.READY:
            message = (document.message or "").removeprefix(f"{document.name}: ")
            cells = (_status(document.status), document.reason or "", printable(message))
            rows.add_row(printable(document.name), *cells)
    if rows.row_count:
        console.print()
        console.print(rows)


def _print_warnings(console: Console, documents: Sequence[Document]) -> None:
    warnings = [(document, warning) for document in documents for warning in document.warnings]
    if warnings:
        console.print()
    for document, warning in warnings[:_MAX_WARNINGS]:
        console.print(Text.assemble((f"{printable(document.name)}: ", "yellow"), printable(warning)), soft_wrap=True)
    if len(warnings) > _MAX_WARNINGS:
        console.print(
            f"… and {len(warnings) - _MAX_WARNINGS:,} warnings more; `llmflow documents ID` shows a document's"
        )


def _fate(outcome: Outcome) -> str:
    return _UNCHANGED if outcome.unchanged else outcome.document.status


def _status(status: str) -> Text:
    return Text(str(status), style=_STYLES.get(status, ""))
