"""``llmflow doctor``."""

from __future__ import annotations

from rich.text import Text

from llmflow.cli.output import print_json, printable, results, working
from llmflow.cli.session import Json, Session

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(as_json: Json = False) -> int:
    """Check every component, and say what to do about what is amiss.

    Exit code 1 if anything fails; warnings leave it at 0.

    Example:
      llmflow doctor
    """
    from llmflow.cli.checks import Check, run_checks

    console = results()
    found: list[Check] = []
    with working("checking"):
        for check in run_checks(Session()):
            found.append(check)
            if not as_json:
                console.print(
                    Text.assemble(
                        (f"{check.status:4}", _STYLES[check.status]),
                        (f"  {check.name:10}  ", "bold"),
                        printable(check.detail),
                        ("" if check.hint is None else f"\n      {'':10}  {printable(check.hint)}", "yellow"),
                    ),
                    soft_wrap=True,
                )
    failed = any(check.status == "fail" for check in found)
    if as_json:
        print_json({"ok": not failed, "checks": found})
    return 1 if failed else 0
