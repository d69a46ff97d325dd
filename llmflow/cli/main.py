"""The ``llmflow`` command: its sub-commands, and how errors reach the user."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from llmflow import __version__
from llmflow.cli import (
    answering,
    configuration,
    doctor,
    documents,
    evaluating,
    graph,
    ingesting,
    keys,
    masking,
    reindexing,
    remembering,
    searching,
    serving,
    tracing,
    training,
    tuning,
    worker,
)
from llmflow.cli.output import notices, print_json, printable
from llmflow.errors import ConfigurationError, InvalidInputError, LLMFlowError

INTERRUPTED = 130

app = typer.Typer(
    help="Grounded answers from an organisation's own documents, Korean first.",
    epilog="Start with `llmflow ingest FOLDER`, go on with `llmflow ask QUESTION`. If something is amiss: "
    "`llmflow doctor`. Exit codes: 0 done, 1 failed, 2 wrong arguments, input or settings, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(ingesting.ingest)
app.command()(searching.search)
app.command()(answering.ask)
app.command("documents")(documents.show)
app.command()(documents.delete)
app.command()(training.train_embedder)
app.command()(reindexing.reindex)
app.command()(tracing.traces)
app.command()(serving.serve)
app.command()(worker.worker)
app.command()(doctor.doctor)
app.command()(masking.mask)
app.add_typer(configuration.app, name="config")
app.add_typer(keys.app, name="keys")
app.add_typer(graph.app, name="graph")
app.add_typer(evaluating.app, name="evaluate")
app.add_typer(tuning.app, name="tune")
app.add_typer(remembering.app, name="feedback")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"llmflow {__version__}")
        raise typer.Exit


@app.callback()
def _llmflow(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; errors raised on purpose become one line."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # `evaluate` has a --json that names a file, beside its tables.
    as_json = "--json" in words and words[:1] != ["evaluate"]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code: int = app(args=words, prog_name="llmflow", standalone_mode=False) or 0
    except LLMFlowError as error:
        _report(error.to_dict(), as_json)
        return 2 if isinstance(error, ConfigurationError | InvalidInputError) else 1
    except typer.TyperException as error:
        if type(error).__name__ != "NoArgsIsHelpError":  # the help was printed already
            context = getattr(error, "ctx", None)
            hint = f"; see `{context.command_path} --help`" if context else ""
            message = error.format_message().rstrip(".") + hint
            _report({"code": "usage", "message": message, "type": "UsageError", "param": None, "details": {}}, as_json)
        return error.exit_code
    except typer.Abort:  # standard input ended where a confirmation was asked for
        notices().print("aborted; nothing was changed")
        return 1
    if code == INTERRUPTED:
        notices().print("interrupted")
    return code


def _report(error: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json({"error": error})
    else:
        line = Text.assemble(("error:", "bold red"), " ", printable(error["message"]))
        notices().print(line, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
