"""``validate``: every rule of plugins and flows, each finding with its place and what to do."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from dify_plugins.tooling.packaging.bundle import BundleManifest
from dify_plugins.tooling.validation import Problem, catalogue, plugin_folders, validate_flow, validate_plugin
from dify_plugins.tooling.validation.document import read
from dify_plugins.tooling.validation.flow.catalogue import is_bundle
from dify_plugins.tooling.validation.plugin import MANIFEST
from dify_plugins.tooling.validation.schema import check

_ROOT = Path(__file__).resolve().parents[1]
_FLOWS = "apps/*.yml"


def validate(
    targets: Annotated[
        list[Path] | None, typer.Argument(help="Folders of plugins and files of flows.", show_default="all of them")
    ] = None,
    root: Annotated[Path, typer.Option(help="The folder with all plugins, which flows may use.")] = _ROOT,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as a JSON list.")] = False,
) -> None:
    """Check plugins and app flows, and say what to do about what is wrong.

    Examples:
      python -m dify_plugins.tooling validate
      python -m dify_plugins.tooling validate dify_plugins/llmflow --json
    """
    chosen = [inner for target in targets or () for inner in _inside(target)]
    chosen = chosen or [*plugin_folders(root), *sorted(root.glob(_FLOWS))]
    problems = _problems(chosen, root)
    if as_json:
        typer.echo(json.dumps([asdict(problem) for problem in problems], ensure_ascii=False, indent=2))
    else:
        _print(problems, len(chosen))
    raise typer.Exit(1 if problems else 0)


def _inside(target: Path) -> list[Path]:
    """The flows of a folder of flows; anything else is itself."""
    flows = sorted(target.glob("*.yml")) if not (target / MANIFEST).exists() else []
    return flows or [target]


def _bundle(folder: Path) -> list[Problem]:
    """What is wrong with a bundle's own files."""
    document, problems = read(folder / MANIFEST)
    manifest, problems = check(document, BundleManifest) if document else (None, problems)
    if document and manifest and not (folder / "_assets" / manifest.icon).is_file():
        problems = [document.problem(("icon",), f"there is no _assets/{manifest.icon}", remedy="add it")]
    return problems


def _problems(targets: Iterable[Path], root: Path) -> list[Problem]:
    plugins = catalogue(root)
    found: list[Problem] = []
    for target in targets:
        if target.is_dir():
            found += _bundle(target) if is_bundle(target) else validate_plugin(target)
        elif target.is_file():
            found += validate_flow(target, plugins)
        else:
            raise typer.BadParameter(f"{target} is neither a folder of a plugin nor a file of a flow")
    return found


def _print(problems: list[Problem], checked: int) -> None:
    console = Console(soft_wrap=True, highlight=False, emoji=False)
    for problem in problems:
        place = f"{problem.file}:{problem.line}:{problem.column}"
        console.print(Text.assemble((place, "bold"), str(problem).removeprefix(place)))
    counted = f"{len(problems)} problem{'s' if len(problems) != 1 else ''} in {checked} plugins and flows"
    console.print(Text(counted, style="red" if problems else "green"))
