"""Rules about ``requirements.txt``."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from dify_plugins.tooling.validation.plugin import Plugin
from dify_plugins.tooling.validation.problem import Place, Problem, listed, shown
from dify_plugins.tooling.validation.python_source import SDK, imports

FILE = "requirements.txt"
SDK_RUNS = ("0.7.4", "0.10.2")
"""Versions of the SDK that plugins are tested with: the last for Python 3.11, and the newest."""
SDK_UNKNOWN = "0.11"
_DISTRIBUTIONS = {"yaml": "pyyaml", "dateutil": "python-dateutil", "bs4": "beautifulsoup4", "PIL": "pillow"}
_WITH_SDK = {"werkzeug", "pydantic"}
"""What the SDK's own interface is written with: requests of endpoints, and all its data."""


@dataclass(frozen=True, slots=True)
class Line:
    """A requirement and the number of its line."""

    number: int
    requirement: Requirement


def sdk_range(plugin: Plugin) -> Iterator[Problem]:
    """Requirements can be read, and ask for a version of the SDK that is known to run."""
    file = plugin.folder / FILE
    if not file.is_file():
        yield Place(file).problem(f"{FILE} is missing", remedy=f"create it with {SDK}>={SDK_RUNS[0]},<{SDK_UNKNOWN}")
        return
    lines, problems = _read(plugin)
    yield from problems
    own = [line for line in lines if canonicalize_name(line.requirement.name) == canonicalize_name(SDK)]
    if not own:
        what = f"{SDK} is not required"
        yield Place(file).problem(what, remedy=f"add {SDK}>={SDK_RUNS[0]},<{SDK_UNKNOWN}")
    for line in own:
        versions = line.requirement.specifier
        if not all(versions.contains(version) for version in SDK_RUNS) or versions.contains(SDK_UNKNOWN):
            what = f"{SDK} is required as {shown(str(versions))}"
            allowed = f"a range with {' and '.join(SDK_RUNS)}, and without {SDK_UNKNOWN}"
            remedy = f"write {SDK}>={SDK_RUNS[0]},<{SDK_UNKNOWN}"
            yield Place(file, line.number).problem(what, allowed=allowed, remedy=remedy)


def imports_are_declared(plugin: Plugin) -> Iterator[Problem]:
    """Each library that the package imports is required."""
    lines, _ = _read(plugin)
    declared = {canonicalize_name(line.requirement.name) for line in lines}
    own = {path.parts[0].removesuffix(".py") for path in plugin.packed}
    known = own | set(sys.stdlib_module_names) | _WITH_SDK
    for path in plugin.packed:
        tree = plugin.sources.tree(path) if path.suffix == ".py" else None
        for found in imports(tree) if isinstance(tree, ast.Module) else ():
            top = found.module.split(".")[0]
            if top not in known and canonicalize_name(_DISTRIBUTIONS.get(top, top)) not in declared:
                what = f"{found.module} is imported, and {FILE} does not require it"
                remedy = f"add {_DISTRIBUTIONS.get(top, top)} with a range of versions, or do without it"
                place = Place(plugin.folder / path, found.line)
                yield place.problem(what, allowed=listed(declared), remedy=remedy)


def _read(plugin: Plugin) -> tuple[list[Line], list[Problem]]:
    lines, problems = [], []
    file = plugin.folder / FILE
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    for number, line in enumerate(text.splitlines(), start=1):
        wanted = line.split("#")[0].strip()
        if not wanted:
            continue
        try:
            requirement = Requirement(wanted)
        except InvalidRequirement:
            what = f"{shown(wanted)} is no requirement"
            problems.append(Place(file, number).problem(what, allowed="name>=1,<2", remedy="correct it"))
            continue
        if not requirement.specifier:
            what = f"{requirement.name} is required in any version"
            problems.append(Place(file, number).problem(what, allowed="name>=1,<2", remedy="add a range of versions"))
        lines.append(Line(number, requirement))
    return lines, problems
