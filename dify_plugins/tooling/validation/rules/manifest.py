"""Rules about the plugin as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from dify_plugins.tooling.validation.document import Document, Loc
from dify_plugins.tooling.validation.plugin import Declared, Plugin
from dify_plugins.tooling.validation.problem import Problem, listed, shown

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


def versions_agree(plugin: Plugin) -> Iterator[Problem]:
    """The package and the plugin are of one version."""
    manifest = plugin.manifest.value
    if manifest.version != manifest.meta.version:
        what = f"meta.version is {shown(manifest.meta.version)}, but version is {shown(manifest.version)}"
        yield plugin.manifest.problem(("meta", "version"), what, remedy="write the same version in both")


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


def time_has_a_zone(plugin: Plugin) -> Iterator[Problem]:
    """The daemon reads times with a zone only."""
    created = plugin.manifest.value.created_at
    if created.tzinfo is None:
        what = f"created_at is {created.isoformat()}, without a zone"
        allowed = "a time with its zone, e.g. 2026-11-21T00:00:00Z"
        yield plugin.manifest.problem(("created_at",), what, allowed=allowed, remedy="add Z at its end")


def entrypoint_exists(plugin: Plugin) -> Iterator[Problem]:
    """The daemon runs ``python -m ENTRYPOINT``."""
    entrypoint = plugin.manifest.value.meta.runner.entrypoint
    if not (plugin.folder / f"{entrypoint}.py").is_file():
        what = f"there is no file {entrypoint}.py for the entrypoint {shown(entrypoint)}"
        yield plugin.manifest.problem(
            ("meta", "runner", "entrypoint"), what, remedy="create it, or name another module"
        )
