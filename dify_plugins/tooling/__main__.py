"""The ``python -m dify_plugins.tooling`` command: its sub-commands, one line each."""

from __future__ import annotations

import typer

from dify_plugins.tooling import running, validating
from dify_plugins.tooling.packaging import commands as packaging

app = typer.Typer(
    help="Check, package and run the Dify plugins of this repository.",
    epilog="Exit codes: 0 done, 1 a check failed, 2 wrong arguments.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(validating.validate)
app.command()(running.run)
app.add_typer(packaging.app)


if __name__ == "__main__":
    app()
