"""``distillm2``: LLaMA-Factory's commands with the stage, and the stage's own."""

from __future__ import annotations

import sys

import typer

from distillm2.cli import cache, data, licence, llamafactory, loop, plan, sweep
from distillm2.errors import DistillationError

HELP = """DistiLLM-2 (arXiv 2503.07067): distil language models with LLaMA-Factory.

A distillation from start to end:

    distillm2 generate ...      teacher's and student's responses, from any OpenAI-compatible server

    distillm2 pairs ...         clean pairs, split and registered as a data set

    distillm2 plan x.yaml --gpu 24GB

    distillm2 train x.yaml

    distillm2 export merge.yaml
"""


def build_app() -> typer.Typer:
    """The command line with every room's commands."""
    app = typer.Typer(
        name="distillm2",
        help=HELP,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    for room in (llamafactory, data, cache, plan, loop, sweep, licence):
        room.register(app)
    return app


def main() -> None:
    """Run; a fault that a person can mend is printed without a traceback, exit status 1."""
    try:
        build_app()()
    except DistillationError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except OSError as error:
        place = f"{error.filename}: {error.strerror}" if error.filename is not None else str(error)
        print(f"error: {place}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
