"""``run``: one call of a tool, in a real process of the plugin, against a running LLMFlow server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from dify_plugins.tooling.daemon import PluginError, PluginProcess, StartError, Transport

_SHOWN = 300
_PLUGIN = Path(__file__).resolve().parents[1] / "llmflow"
_PYTHON = _PLUGIN.parents[1] / ".venv-dify-py312" / "bin" / "python"


def run(
    tool: Annotated[str, typer.Argument(help="A tool of the plugin llmflow, e.g. retrieve.")],
    parameters: Annotated[list[str] | None, typer.Argument(help="Its parameters: name=value ...")] = None,
    base_url: Annotated[str, typer.Option(envvar="LLMFLOW_URL", help="The LLMFlow server.")] = "http://127.0.0.1:8080",
    api_key: Annotated[str, typer.Option(envvar="LLMFLOW_KEY", help="A key of it.")] = "",
    language: Annotated[str, typer.Option(help="Language of messages: ko or en.")] = "ko",
    python: Annotated[
        Path,
        typer.Option(help="An interpreter with the plugin's requirements.", show_default="as make dify-venvs makes it"),
    ] = _PYTHON,
    tcp: Annotated[bool, typer.Option("--tcp", help="Over TCP, as a plugin that is debugged.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Messages in full length.")] = False,
) -> None:
    """Call a tool as Dify does and print each message it sends.

    Examples:
      python -m dify_plugins.tooling run retrieve query="연차는 며칠까지 이월되나요?" top_k=3
      python -m dify_plugins.tooling run mask_pii text="담당자 010-2345-6789" --language en
    """
    console = Console(soft_wrap=True, highlight=False)
    credentials = {"base_url": base_url, "api_key": api_key, "language": language, "timeout_s": "60"}
    transport: Transport = "tcp" if tcp else "stdio"
    named = _named(parameters or [])
    try:
        with PluginProcess(_PLUGIN, python, transport) as plugin:
            for message in plugin.invoke_tool("llmflow", tool, credentials, named):
                console.print(_line(message, None if full else _SHOWN))
    except (PluginError, StartError) as error:
        console.print(f"[red]error[/red]  {escape(_said(error, python))}")
        raise typer.Exit(1) from None


def _said(error: PluginError | StartError, python: Path) -> str:
    if isinstance(error, PluginError):
        return error.message
    return f"the plugin did not start with {python} ({error.reason}); make dify-venvs makes an environment for it"


def _named(parameters: Iterable[str]) -> dict[str, str]:
    """``name=value`` words as a mapping."""
    pairs = [parameter.partition("=") for parameter in parameters]
    for name, sign, _ in pairs:
        if not sign:
            raise typer.BadParameter(f"{name!r} is no parameter; write name=value")
    return {name: value for name, _, value in pairs}


def _line(message: Mapping[str, Any], most: int | None) -> str:
    """A message on one line: its type, then what it carries."""
    kind, body = message["type"], message["message"]
    match kind:
        case "text":
            shown = body["text"]
        case "log":
            shown = f"{body['status']}: {body['label']}"
        case "variable":
            shown = f"{body['variable_name']} = {_json(body['variable_value'])}"
        case "json":
            shown = _json(body["json_object"])
        case _:
            shown = _json(body)
    shown = " ".join(shown.split())
    if most is not None and len(shown) > most:
        shown = f"{shown[:most]}... ({len(shown):,} characters)"
    return f"[bold]{kind:<20}[/bold] {escape(shown)}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
