"""Caches a tiny teacher, then trains from it and from the cache, all in one process, as the command line would.

A JSON file gives ``commands`` (argument lists, run in turn) and ``hide``, the teacher's folder, which is moved away
before the first training from a cache. Prints a line of JSON for each command.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from distillm2.cli.main import build_app
from distillm2.errors import DistillationError


def run(arguments: list[str]) -> str:
    """Run one command; returns the message of a refusal, or an empty string."""
    try:
        build_app()(arguments, standalone_mode=False)
    except DistillationError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    teacher = Path(plan["hide"])
    for arguments in plan["commands"]:
        from_cache = any(argument.startswith("teacher_cache=") for argument in arguments)
        if arguments[0] == "train" and from_cache and teacher.exists():
            teacher.rename(teacher.with_name("hidden"))
        print("RESULT " + json.dumps(run(arguments)), flush=True)
