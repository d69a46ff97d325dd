"""Rules about ``requirements.txt``."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from dify_plugins.tooling.packed import IGNORE_FILE
from dify_plugins.tooling.requirements import FILE, wanted
from dify_plugins.tooling.validation.plugin import Plugin
from dify_plugins.tooling.validation.problem import Place, Problem, listed, shown
from dify_plugins.tooling.validation.python_source import SDK, imports

SDK_RUNS = ("0.7.4", "0.10.2")
"""Versions of the SDK that plugins are tested with: the last for Python 3.11, and the newest."""
SDK_UNKNOWN = "0.11"
_DIFY = {
    "python_version": "3.12",
    "python_full_version": "3.12.0",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "os_name": "posix",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "extra": "",
}
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
    own = [line for line in lines(plugin)[0] if canonicalize_name(line.requirement.name) == canonicalize_name(SDK)]
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
    declared = {canonicalize_name(line.requirement.name) for line in lines(plugin)[0]}
    own = {path.parts[0].removesuffix(".py") for path in plugin.packed}
    known = own | set(sys.stdlib_module_names) | _WITH_SDK
    for path in plugin.packed:
        tree = plugin.sources.tree(path) if path.suffix == ".py" else None
        for found in imports(tree) if isinstance(tree, ast.Module) else ():
            top = found.module.split(".")[0]
            if top not in known and any((plugin.folder / name).exists() for name in (top, f"{top}.py")):
                what = f"{found.module} is imported, and {IGNORE_FILE} keeps it out of the package"
                yield Place(plugin.folder / path, found.line).problem(what, remedy=f"take it out of {IGNORE_FILE}")
            elif top not in known and canonicalize_name(_DISTRIBUTIONS.get(top, top)) not in declared:
                what = f"{found.module} is imported, and {FILE} does not require it"
                remedy = f"add {_DISTRIBUTIONS.get(top, top)} with a range of versions, or do without it"
                place = Place(plugin.folder / path, found.line)
                yield place.problem(what, allowed=listed(declared), remedy=remedy)


def can_be_met(plugin: Plugin) -> Iterator[Problem]:
    """Each line is a requirement, for one library each, that some version fits on the machine Dify runs it on."""
    file = plugin.folder / FILE
    found, problems = lines(plugin)
    yield from problems
    seen: dict[str, int] = {}
    for line in found:
        place, wanted = Place(file, line.number), line.requirement
        name = canonicalize_name(wanted.name)
        if name in seen:
            what = f"{wanted.name} is required a second time, first in line {seen[name]}"
            yield place.problem(what, remedy="write one line with one range of versions")
        seen.setdefault(name, line.number)
        if wanted.marker and not wanted.marker.evaluate(_DIFY):
            what = f"{wanted.name} is not installed by Dify: {wanted.marker} does not hold there"
            yield place.problem(what, allowed="what holds for Python 3.12 on Linux", remedy="remove the condition")
        if not _some_version(wanted.specifier):
            what = f"no version of {wanted.name} is {wanted.specifier}"
            yield place.problem(what, allowed="name>=1,<2", remedy="correct the range")


def _some_version(specifiers: SpecifierSet) -> bool:
    """Whether a version fits: one that is named, or one just beside it."""
    named = [specifier.version.removesuffix(".*") for specifier in specifiers if specifier.operator != "==="]
    beside = [version for name in named for version in (name, f"{name}.post1", f"{name}.0.1", f"{name}.99999", "0")]
    below = [version for version in (_below(name) for name in named) if version]
    return not named or any(specifiers.contains(version, prereleases=True) for version in [*beside, *below])


def _below(name: str) -> str:
    """A version under ``name`` and over all that people write below it."""
    *ahead, last = Version(name).release
    while ahead and not last:
        *ahead, last = ahead
    return ".".join(map(str, [*ahead, last - 1, 99999, 99999])) if last else ""


def lines(plugin: Plugin) -> tuple[list[Line], list[Problem]]:
    """The requirements, and what is wrong with lines that are none."""
    found, problems = [], []
    file = plugin.folder / FILE
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    for number, line in wanted(text):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            what = f"{shown(line)} is no requirement"
            problems.append(Place(file, number).problem(what, allowed="name>=1,<2", remedy="correct it"))
            continue
        if not requirement.specifier:
            what = f"{requirement.name} is required in any version"
            problems.append(Place(file, number).problem(what, allowed="name>=1,<2", remedy="add a range of versions"))
        found.append(Line(number, requirement))
    return found, problems
