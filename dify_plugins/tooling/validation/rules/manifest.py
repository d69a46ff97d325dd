"""Rules about the plugin as a whole."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from dify_plugins.tooling.validation.document import Document, Loc
from dify_plugins.tooling.validation.plugin import Declared, Plugin
from dify_plugins.tooling.validation.problem import Place, Problem, listed, shown

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_ALONE = ("models", "agent_strategies")


def one_provider_of_a_kind(plugin: Plugin) -> Iterator[Problem]:
    """Dify keeps the last provider of a kind and drops the others without a word."""
    for kind, files in plugin.manifest.value.plugins:
        if files and len(files) > 1:
            what = f"plugins.{kind} names {len(files)} providers"
            remedy = "put what they bring into one provider, or make a plugin of each"
            yield plugin.manifest.problem(("plugins", kind, 1), what, allowed="one provider of a kind", remedy=remedy)


def kinds_apart(plugin: Plugin) -> Iterator[Problem]:
    """Only tools and endpoints may be in one plugin, and something must be."""
    kinds = [kind for kind, files in plugin.manifest.value.plugins if files]
    if not kinds:
        allowed = "tools, endpoints, models, agent_strategies"
        yield plugin.manifest.problem(
            ("plugins",), "the plugin brings nothing", allowed=allowed, remedy="name a provider"
        )
    if len(kinds) > 1:
        for kind in kinds:
            if kind in _ALONE:
                what = f"{kind} stands beside {listed(other for other in kinds if other != kind)}"
                allowed = "tools with endpoints, models alone, agent_strategies alone"
                yield plugin.manifest.problem(("plugins", kind), what, allowed=allowed, remedy="make a plugin of each")


def authors_agree(plugin: Plugin) -> Iterator[Problem]:
    """Dify finds a provider by the plugin's author."""
    author = plugin.manifest.value.author
    identified: list[Declared[Any]] = [*plugin.tool_providers, *plugin.tools]
    for declared in (*identified, *plugin.strategy_providers, *plugin.strategies):
        found = declared.value.identity.author
        if found != author:
            what = f"identity.author is {shown(found)}, but the plugin's author is {shown(author)}"
            yield declared.document.problem(("identity", "author"), what, remedy=f"write {author}")


def names_are_unique(plugin: Plugin) -> Iterator[Problem]:
    """Two tools or strategies of one name are one to Dify."""
    for kind, group in (("tool", plugin.tools), ("strategy", plugin.strategies)):
        names = [(declared.document, declared.value.identity.name) for declared in group]
        yield from _repeated(kind, names)


def _repeated(kind: str, names: list[tuple[Document, str]]) -> Iterator[Problem]:
    counts = Counter(name for _, name in names)
    loc: Loc = ("identity", "name")
    for document, name in names:
        if counts[name] > 1:
            what = f"{counts[name]} declarations of a {kind} are named {shown(name)}"
            yield document.problem(loc, what, remedy="give each a name of its own")


def time_is_exact(plugin: Plugin) -> Iterator[Problem]:
    """The daemon reads times as RFC 3339 writes them; PyYAML reads more."""
    at: Loc = ("created_at",)
    written = plugin.manifest.document.texts.get(at, "")
    try:
        datetime.fromisoformat(written)
        is_time = True
    except ValueError:
        is_time = False
    if not is_time or not _RFC_3339.fullmatch(written):
        what = f"created_at is {shown(written)}"
        allowed = "a time with its zone, e.g. 2026-11-21T00:00:00Z"
        yield plugin.manifest.problem(at, what, allowed=allowed, remedy="write it in that form")


def entrypoint_runs(plugin: Plugin) -> Iterator[Problem]:
    """The daemon runs ``python -m ENTRYPOINT``, which is to call ``run()`` of the SDK's ``Plugin``."""
    entrypoint = plugin.manifest.value.meta.runner.entrypoint
    path = PurePosixPath(f"{entrypoint}.py")
    if not (plugin.folder / path).is_file():
        what = f"there is no file {path} for the entrypoint {shown(entrypoint)}"
        yield plugin.manifest.problem(
            ("meta", "runner", "entrypoint"), what, remedy="create it, or name another module"
        )
        return
    tree = plugin.sources.tree(path)
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)] if isinstance(tree, ast.Module) else []
    if isinstance(tree, ast.Module) and not any(
        isinstance(call, ast.Attribute) and call.attr == "run" for call in calls
    ):
        what = f"{path} calls no run(); the plugin would end as soon as it starts"
        yield Place(plugin.folder / path).problem(what, remedy="add Plugin(DifyPluginEnv()).run()")
