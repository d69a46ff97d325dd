"""Rules about the plugins that a flow needs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dify_plugins.tooling.validation.document import Loc
from dify_plugins.tooling.validation.flow.app import Dependency
from dify_plugins.tooling.validation.flow.flow import Flow
from dify_plugins.tooling.validation.flow.nodes import Agent, Llm, ParameterExtractor, QuestionClassifier, Tool
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown

_IDENTIFIER = re.compile(
    r"(?P<plugin>[a-z0-9_-]{1,64}/[a-z0-9_-]{1,255})"
    r":(?P<version>[0-9]{1,4}(\.[0-9]{1,4}){1,3}(-\w{1,16})?)@[a-f0-9]{32,64}"
)
_KEYS = {
    "package": "plugin_unique_identifier",
    "marketplace": "marketplace_plugin_unique_identifier",
    "github": "github_plugin_unique_identifier",
}
_PARTS = 3


def are_known(flow: Flow) -> Iterator[Problem]:
    """A dependency says what its type asks; one of this repository is of its version."""
    for index, dependency in enumerate(flow.app.dependencies):
        loc: Loc = ("dependencies", index, "value", _KEYS[dependency.type])
        yield from _identifier(flow, loc, _identifier_of(dependency), dependency.type)
    for node in flow.nodes:
        if isinstance(node.data, Tool | Agent) and node.data.plugin_unique_identifier is not None:
            loc = (*node.at, "data", "plugin_unique_identifier")
            yield from _identifier(flow, loc, node.data.plugin_unique_identifier, "package")


def _identifier_of(dependency: Dependency) -> str | None:
    found: str | None = getattr(dependency.value, _KEYS[dependency.type])
    return found


def _identifier(flow: Flow, loc: Loc, identifier: str | None, kind: str) -> Iterator[Problem]:
    found = _IDENTIFIER.fullmatch(identifier or "")
    if not found:
        what = f"the plugin is {shown(identifier)}"
        allowed = f"{_KEYS[kind]}: author/name:version@checksum"
        yield flow.document.problem(loc, what, allowed=allowed, remedy="write the package's identity")
        return
    versions = flow.catalogue.versions
    plugin = found["plugin"]
    if plugin not in versions:
        if flow.catalogue.is_own(plugin):
            what = f"there is no plugin {shown(plugin)}"
            remedy = meant(plugin, versions, "name one of them")
            yield flow.document.problem(loc, what, allowed=listed(versions), remedy=remedy)
    elif found["version"] != versions[plugin]:
        what = f"{plugin} is wanted in version {found['version']}"
        yield flow.document.problem(loc, what, allowed=versions[plugin], remedy="write the plugin's version")


def are_complete(flow: Flow) -> Iterator[Problem]:
    """Dify asks to install what a flow depends on, and nothing else.

    Plugins of this repository may be left out: Dify knows a package by its checksum, which is a
    new one with every change, and would ask for a package that no marketplace has.
    """
    identifiers = [_identifier_of(dependency) or "" for dependency in flow.app.dependencies]
    declared = {identifier.split(":")[0] for identifier in identifiers}
    for loc, provider in _providers(flow):
        parts = provider.split("/")
        plugin = "/".join(parts[:2])
        if len(parts) == _PARTS and plugin not in declared and plugin not in flow.catalogue.versions:
            what = f"{provider} is used, and {plugin} is no dependency"
            yield flow.document.problem(loc, what, allowed=listed(declared), remedy=f"add {plugin} to dependencies")


def _providers(flow: Flow) -> Iterator[tuple[Loc, str]]:
    """The providers of tools, strategies and models that nodes name."""
    for node in flow.nodes:
        at = (*node.at, "data")
        match node.data:
            case Tool(provider_id=provider):
                yield (*at, "provider_id"), provider
            case Agent(agent_strategy_provider_name=provider):
                yield (*at, "agent_strategy_provider_name"), provider
            case Llm(model=model) | QuestionClassifier(model=model) | ParameterExtractor(model=model):
                yield (*at, "model", "provider"), model.provider
