"""The plugins that flows may use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dify_plugins.tooling.validation.declarations.agent import Strategy
from dify_plugins.tooling.validation.declarations.tool import Tool
from dify_plugins.tooling.validation.document import read
from dify_plugins.tooling.validation.plugin import MANIFEST, Plugin, load


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the plugins of this repository offer, by Dify's names for it."""

    versions: dict[str, str] = field(default_factory=dict)
    """Version of each plugin, by ``author/name``."""
    tools: dict[str, dict[str, Tool]] = field(default_factory=dict)
    """Tools by ``author/plugin/provider`` and name."""
    strategies: dict[str, dict[str, Strategy]] = field(default_factory=dict)
    """Strategies by ``author/plugin/provider`` and name."""
    models: set[str] = field(default_factory=set)
    """Model providers, ``author/plugin/provider``."""

    def is_own(self, provider: str) -> bool:
        """Whether a provider is of an author of this repository."""
        return provider.split("/")[0] in {plugin.split("/")[0] for plugin in self.versions}


def plugin_folders(root: Path) -> Iterator[Path]:
    """The folders below ``root`` with a manifest, but for a bundle's."""
    for manifest in sorted(root.glob(f"*/{MANIFEST}")):
        if not is_bundle(manifest.parent):
            yield manifest.parent


def is_bundle(folder: Path) -> bool:
    """Whether the manifest of ``folder`` says that it is a bundle."""
    document, _ = read(folder / MANIFEST)
    return document is not None and isinstance(document.data, dict) and document.data.get("type") == "bundle"


def catalogue(root: Path) -> Catalogue:
    """What the plugins below ``root`` offer; what is wrong with them is not said here."""
    found = Catalogue()
    for folder in plugin_folders(root):
        plugin, _ = load(folder)
        if plugin:
            _add(found, plugin)
    return found


def _add(found: Catalogue, plugin: Plugin) -> None:
    found.versions[plugin.id] = plugin.manifest.value.version
    for provider in plugin.tool_providers:
        tools = {tool.value.identity.name: tool.value for tool in plugin.tools}
        found.tools[f"{plugin.id}/{provider.value.identity.name}"] = tools
    for strategies in plugin.strategy_providers:
        by_name = {strategy.value.identity.name: strategy.value for strategy in plugin.strategies}
        found.strategies[f"{plugin.id}/{strategies.value.identity.name}"] = by_name
    for models in plugin.model_providers:
        found.models.add(f"{plugin.id}/{models.value.provider}")
