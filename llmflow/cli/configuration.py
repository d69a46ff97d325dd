"""``llmflow config``."""

from __future__ import annotations

import re
from typing import Any

import typer

from llmflow.cli.output import print_json, results
from llmflow.cli.session import Json, Session

_PASSWORD = re.compile(r"(://[^:@/\s]*:)[^/\s]*@")

app = typer.Typer(help="Show the settings and where they come from.", no_args_is_help=True)


@app.command()
def show(as_json: Json = False) -> None:
    """Print the settings in force, secrets hidden.

    The YAML printed is a valid settings file, once the secrets are filled in.

    Examples:
      llmflow config show
      LLMFLOW_RETRIEVAL__TOP_K=8 llmflow config show --json
    """
    import yaml

    values = _without_passwords(Session().settings.model_dump(mode="json"))
    if as_json:
        print_json(values)
    else:
        typer.echo(yaml.safe_dump(values, allow_unicode=True, sort_keys=False), nl=False)


@app.command()
def path(as_json: Json = False) -> None:
    """Print the settings file: what LLMFLOW_CONFIG names, else llmflow.yaml in this folder.

    Example:
      llmflow config path
    """
    from llmflow.settings import config_file

    file = config_file().absolute()
    if as_json:
        print_json({"path": str(file), "exists": file.is_file()})
    else:
        results().print(f"{file}{'' if file.is_file() else ' (does not exist; the defaults hold)'}", soft_wrap=True)


def _without_passwords(value: Any) -> Any:
    """Secrets are hidden by their type; passwords can also stand in addresses."""
    if isinstance(value, dict):
        return {key: _without_passwords(inner) for key, inner in value.items()}
    return _PASSWORD.sub(r"\1**********@", value) if isinstance(value, str) else value
