"""``llmflow ingest``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmflow.cli.output import notices, print_json, progress_bar, results
from llmflow.cli.session import Department, Json, Session, Tenant

if TYPE_CHECKING:
    from llmflow.ingestion.pipeline import Outcome
    from llmflow.ingestion.training import Trained
    from llmflow.runtime import Runtime


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders; folders are read with all below them.")],
    no_train: Annotated[
        bool, typer.Option("--no-train", help="Leave the embedder as it is, even if the documents have outgrown it.")
    ] = False,
    tenant: Tenant = None,
    department: Department = None,
    as_json: Json = False,
) -> int:
    """Ingest documents: PDF, DOCX, PPTX, XLSX, CSV, HTML, Markdown, text, EML, HWP, HWPX and pictures.

    A file that is unchanged is left alone, a changed one replaces what it was.
    What a killed run left undone is done first. One bad file never stops the
    rest.

    Exit code 0 if any file is ready (or there were none), 1 if not one is.

    Examples:
      llmflow ingest documents/
      llmflow ingest 휴가규정.pdf --department hr
    """
    from llmflow.cli.render import print_outcomes

    session = Session(tenant, [department])
    started = time.perf_counter()
    with session.runtime() as runtime:
        outcomes = run(runtime, session, paths)
        seconds = time.perf_counter() - started
        trained = None if no_train else train_if_due(runtime)
    if as_json:
        print_json(_report(outcomes, seconds, trained))
    else:
        print_outcomes(results(), outcomes, seconds)
        if trained:
            results().print(f"embedder {trained.version} trained on {trained.chunks:,} chunks")
    if not outcomes:
        notices().print("no files found; hidden files and folders are left out")
    return 1 if outcomes and not any(outcome.document.status == "ready" for outcome in outcomes) else 0


def run(runtime: Runtime, session: Session, paths: list[Path]) -> list[Outcome]:
    """Ingest with a progress bar."""
    outcomes: list[Outcome] = []
    with progress_bar() as show:
        total = 0

        def begin(count: int) -> None:
            nonlocal total
            total = count
            show("ingest", 0, total)

        for outcome in runtime.ingest(session.scope, session.scope.departments[0], paths, begin):
            outcomes.append(outcome)
            show("ingest", len(outcomes), total)
    return outcomes


def train_if_due(runtime: Runtime) -> Trained | None:
    """Train the embedder with a progress bar, if the documents have outgrown it."""
    if not runtime.embedder_due():
        return None
    with progress_bar() as show:
        return runtime.train_embedder(lambda done, total: show("train the embedder", done, total))


def _report(outcomes: list[Outcome], seconds: float, trained: Trained | None) -> dict[str, Any]:
    from llmflow.cli.render import count_outcomes

    fields = ("id", "name", "source", "status", "reason", "message", "chunks_count", "entities_count", "warnings")
    return {
        "documents": [
            {field: getattr(outcome.document, field) for field in fields} | {"unchanged": outcome.unchanged}
            for outcome in outcomes
        ],
        "counts": count_outcomes(outcomes),
        "seconds": round(seconds, 3),
        "embedder": trained,
    }
