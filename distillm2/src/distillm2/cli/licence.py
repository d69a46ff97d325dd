"""``distillm2 licence``: check, list and add licences of models and data."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distillm2.errors import DistillationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from distillm2.data.licence_check import Finding, Role

RegisterFile = Annotated[
    Path | None, typer.Option("--register", help="Your own entries. Default: distillm2_licences.yaml, if it exists.")
]
CONFIGURATIONS = (".yaml", ".yml", ".json")


def register(app: typer.Typer) -> None:
    """Add the group of commands to ``app``."""
    licence = typer.Typer(help="Licences and release dates of models and data.", no_args_is_help=True)
    licence.command("check")(check)
    licence.command("list")(show)
    licence.command("add")(add)
    app.add_typer(licence, name="licence")


def check(
    names: Annotated[list[str], typer.Argument(help="YAMLs of trainings, or names of models and data.")],
    released_before: Annotated[
        str | None, typer.Option(help="Refuse what was released on this day or later: 2025-07-01.")
    ] = None,
    commercial: Annotated[bool, typer.Option("--commercial", help="Refuse what may not be used commercially.")] = False,
    distillation: Annotated[
        bool, typer.Option("--distillation", help="Refuse teachers and data that may not train other models.")
    ] = False,
    register_file: RegisterFile = None,
    report: Annotated[Path | None, typer.Option(help="Write the findings as JSON.")] = None,
) -> None:
    """Refuse unknown and disallowed models and data; exit status 1 if anything is refused.

    Example: distillm2 licence check x.yaml --released-before 2025-07-01 --commercial --distillation

    Conditions are shown and do not refuse: whether you keep to them is yours to see to.
    """
    from rich.console import Console

    from distillm2.data.licence_check import HOW_TO_ADD, Policy
    from distillm2.data.licence_check import check as check_names
    from distillm2.data.licences import Register, parse_release

    before = parse_release(released_before, "--released-before") if released_before else None
    if released_before and (before is None or before.isoformat() != released_before):
        raise DistillationError(f"--released-before {released_before!r} is no day; write 2025-07-01")
    policy = Policy(before, commercial, distillation)
    findings = check_names(_names(names), Register.load(register_file), policy)
    console = Console()
    _print_findings(console, findings)
    refused = [finding for finding in findings if not finding.passed]
    if report:
        content = {"passed": not refused, "policy": _policy_json(released_before, commercial, distillation)}
        content["findings"] = [finding.as_json() for finding in findings]
        report.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    if any(finding.entry is None for finding in refused):
        console.print(HOW_TO_ADD, markup=False, highlight=False, soft_wrap=True)
    if refused:
        raise typer.Exit(1)


def show(
    kind: Annotated[str | None, typer.Option(help="model, service or data.")] = None, register_file: RegisterFile = None
) -> None:
    """Print the register, your own entries first.

    Example: distillm2 licence list --kind data
    """
    from rich.console import Console
    from rich.table import Table

    from distillm2.data.licences import KINDS, Register

    if kind is not None and kind not in KINDS:
        raise DistillationError(f"--kind {kind!r} is unknown; allowed: {', '.join(KINDS)}")
    table = Table()
    for name in ("names", "licence", "released", "commercial", "distillation", "checked", "note"):
        table.add_column(name, overflow="fold")
    for entry in Register.load(register_file).entries:
        if kind is None or kind == entry.kind:
            cells = [entry.licence, str(entry.released or ""), entry.commercial, entry.distillation, entry.checked]
            if entry.same_as:
                cells = [f"as {entry.same_as}", "", "", "", ""]
            table.add_row("\n".join(entry.names), *cells, entry.note)
    Console().print(table)


def add(
    names: Annotated[list[str], typer.Argument(help="Exact names, or patterns with * (quoted).")],
    licence: Annotated[str | None, typer.Option(help="SPDX name, such as Apache-2.0, or the licence's own.")] = None,
    released: Annotated[str | None, typer.Option(help="2025-04-29, 2025-04 or unknown.")] = None,
    commercial: Annotated[str | None, typer.Option(help="allowed, conditions, forbidden or unknown.")] = None,
    distillation: Annotated[str | None, typer.Option(help="The same, for training other models on it.")] = None,
    source: Annotated[str | None, typer.Option(help="Where the licence can be read.")] = None,
    kind: Annotated[str, typer.Option(help="model, service or data.")] = "model",
    note: Annotated[str | None, typer.Option(help="Conditions, in a sentence.")] = None,
    same_as: Annotated[str | None, typer.Option(help="A registered name that these are copies of.")] = None,
    register_file: RegisterFile = None,
) -> None:
    """Add an entry to your own register.

    Example: distillm2 licence add ko_statutes --kind data --licence "Korean Copyright Act, Article 7"
    --released 2024-01 --commercial allowed --distillation allowed --source https://www.law.go.kr

    Example: distillm2 licence add models/student --same-as Qwen/Qwen3-1.7B
    """
    import yaml

    from distillm2.data.licences import USERS, Register, read_register

    values = {
        "names": names,
        "same_as": same_as,
        "kind": None if same_as else kind,
        "licence": licence,
        "released": released,
        "commercial": commercial,
        "distillation": distillation,
        "note": note,
        "source": source,
        "checked": None if same_as else date.today().isoformat(),
    }
    file = register_file or Path(USERS)
    before = file.read_text(encoding="utf-8") if file.is_file() else ""
    if before:
        read_register(file)
    text = yaml.dump(
        [{key: value for key, value in values.items() if value is not None}],
        allow_unicode=True,
        sort_keys=False,
        width=110,
    )
    unfinished = file.with_name(f"{file.name}.unfinished")
    unfinished.write_text(before + ("" if before.endswith("\n") or not before else "\n") + text, encoding="utf-8")
    try:
        read_register(unfinished)
        for name in names:
            Register.load(unfinished).find(name)
    except DistillationError as error:
        unfinished.unlink()
        raise DistillationError(f"Nothing was added. {str(error).replace(unfinished.name, file.name)}") from error
    unfinished.replace(file)
    typer.echo(f"Added {', '.join(names)} to {file}.")


def _names(given: list[str]) -> dict[str, Role]:
    from distillm2.cli.settings import read_settings
    from distillm2.data.licence_check import names_in

    found: dict[str, Role] = {}
    for name in given:
        if name.endswith(CONFIGURATIONS):
            found |= names_in(read_settings([name]), name)
        else:
            found[name] = "named"
    return found


def _policy_json(released_before: str | None, commercial: bool, distillation: bool) -> dict[str, str | bool | None]:
    return {"released_before": released_before, "commercial": commercial, "distillation": distillation}


def _print_findings(console: Console, findings: Sequence[Finding]) -> None:
    from rich.table import Table

    from distillm2.data.licences import NOT_CHECKED

    table = Table()
    for column in ("name", "role", "licence", "released", "checked", "verdict"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        entry = finding.entry
        verdict = "[red]refused[/red]" if finding.refused else "[green]ok[/green]"
        if finding.conditions:
            verdict += ", [yellow]conditions[/yellow]"
        known = [entry.licence, str(entry.released or "unknown"), entry.checked] if entry else ["", "", ""]
        table.add_row(finding.name, finding.role, *known, verdict)
    console.print(table)
    for finding in findings:
        for kind, lines in (("refused", finding.refused), ("condition", finding.conditions)):
            for line in lines:
                console.print(f"{finding.name}: {kind}: {line}", markup=False, highlight=False, soft_wrap=True)
        if finding.entry and finding.entry.checked == NOT_CHECKED:
            text = f"{finding.name}: {NOT_CHECKED}: read {finding.entry.source}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
