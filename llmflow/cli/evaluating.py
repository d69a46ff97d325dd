"""``llmflow evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from llmflow.cli.output import progress_bar, results, working
from llmflow.cli.session import Session
from llmflow.errors import ConfigurationError, InvalidInputError

JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the report to this file as JSON as well.")
]

app = typer.Typer(help="Measure how good and how fast LLMFlow is on labelled data.", no_args_is_help=True)


@app.command()
def retrieval(
    folder: Annotated[
        Path, typer.Argument(help="A BEIR folder: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv (or .gz).")
    ],
    split: Annotated[str, typer.Option(help="Which relevance judgements.")] = "test",
    memory: Annotated[
        str | None, typer.Option(help="A split whose judged questions are remembered first.", metavar="SPLIT")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Measure retrieval on a BEIR set, beside each leg alone and BM25.

    The set is indexed in a place of its own; your documents are not touched.

    Examples:
      llmflow evaluate retrieval data/scifact --split test --json report.json
      llmflow evaluate retrieval data/ours --split dev --memory train
    """
    try:
        from evaluation.retrieval import evaluate_retrieval, print_retrieval_report
    except ModuleNotFoundError as error:
        raise not_installed(error) from None
    _check(json_file)
    with progress_bar() as show:
        report = evaluate_retrieval(folder, split, Session().settings, show, memory)
    print_retrieval_report(results(), report)
    _write(json_file, report)


@app.command()
def pii(
    file: Annotated[
        Path, typer.Argument(help='JSON lines, each {"text", "spans": [{"label", "start", "end"}]} (or .gz).')
    ],
    limit: Annotated[int | None, typer.Option(min=1, help="Read only the first lines.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Measure how well personal data is found, beside stock Presidio.

    Example:
      llmflow evaluate pii labelled.jsonl --json report.json
    """
    try:
        from evaluation.pii import evaluate_pii, print_pii_report
    except ModuleNotFoundError as error:
        raise not_installed(error) from None
    _check(json_file)
    with working("looking for personal data"):
        report = evaluate_pii(file, Session().settings.pii, limit)
    print_pii_report(report, results())
    _write(json_file, report)


def not_installed(error: ModuleNotFoundError) -> ConfigurationError:
    """The error for a package of the extra that is not there."""
    return ConfigurationError(
        f"evaluation needs {error.name}, which is not installed: pip install 'llmflow[evaluation]'", param=error.name
    )


def _check(file: Path | None) -> None:
    """Refuse a file that cannot be written before the work, not after it."""
    if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
        raise InvalidInputError(f"{file} cannot be written; name a file in a folder that exists", param="json")


def _write(file: Path | None, report: dict[str, Any]) -> None:
    if file is not None:
        file.write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
