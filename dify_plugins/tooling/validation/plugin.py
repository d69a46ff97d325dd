"""A plugin's folder as its declarations say it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

from dify_plugins.tooling.packed import IGNORE_FILE, packed_files
from dify_plugins.tooling.requirements import FILE as REQUIREMENTS
from dify_plugins.tooling.validation.declarations.agent import Strategy, StrategyProvider
from dify_plugins.tooling.validation.declarations.endpoint import Endpoint, EndpointGroup
from dify_plugins.tooling.validation.declarations.manifest import Manifest
from dify_plugins.tooling.validation.declarations.model import Model, ModelProvider
from dify_plugins.tooling.validation.declarations.tool import Tool, ToolProvider
from dify_plugins.tooling.validation.document import Document, Loc, read, read_text
from dify_plugins.tooling.validation.problem import Problem, shown
from dify_plugins.tooling.validation.python_source import Sources
from dify_plugins.tooling.validation.schema import Declaration, check

MANIFEST = "manifest.yaml"
D = TypeVar("D", bound=Declaration)


@dataclass(frozen=True, slots=True)
class Declared(Generic[D]):
    """A document and what it declares."""

    document: Document
    value: D

    def problem(self, loc: Loc, what: str, *, remedy: str, allowed: str = "") -> Problem:
        """A finding at ``loc`` of the document."""
        return self.document.problem(loc, what, remedy=remedy, allowed=allowed)


@dataclass(slots=True)
class Plugin:
    """Everything a plugin declares that could be read."""

    folder: Path
    manifest: Declared[Manifest]
    packed: list[PurePosixPath]
    """Files of the package, relative to the folder."""
    sources: Sources
    tool_providers: list[Declared[ToolProvider]] = field(default_factory=list)
    tools: list[Declared[Tool]] = field(default_factory=list)
    endpoint_groups: list[Declared[EndpointGroup]] = field(default_factory=list)
    endpoints: list[Declared[Endpoint]] = field(default_factory=list)
    strategy_providers: list[Declared[StrategyProvider]] = field(default_factory=list)
    strategies: list[Declared[Strategy]] = field(default_factory=list)
    model_providers: list[Declared[ModelProvider]] = field(default_factory=list)
    models: list[Declared[Model]] = field(default_factory=list)

    @property
    def documents(self) -> list[Document]:
        """All that is declared."""
        groups: tuple[Sequence[Declared[Any]], ...] = (
            *(self.tool_providers, self.tools, self.endpoint_groups, self.endpoints),
            *(self.strategy_providers, self.strategies, self.model_providers, self.models),
        )
        return [self.manifest.document, *(declared.document for group in groups for declared in group)]

    @property
    def source_files(self) -> list[str]:
        """The Python files behind what is declared, as it names them."""
        extras = [
            *(tools.value.extra for tools in self.tool_providers),
            *(tool.value.extra for tool in self.tools),
            *(endpoint.value.extra for endpoint in self.endpoints),
            *(strategy.value.extra for strategy in self.strategies),
        ]
        models = [provider.value.extra.python for provider in self.model_providers]
        of_models = [name for found in models for name in (found.provider_source, *found.model_sources)]
        return [*(extra.python.source for extra in extras), *of_models]

    @property
    def id(self) -> str:
        """``author/name``."""
        return f"{self.manifest.value.author}/{self.manifest.value.name}"


def load(folder: Path) -> tuple[Plugin | None, list[Problem]]:
    """Read the manifest and every document it leads to; no plugin where the manifest cannot be read."""
    loading = _Loading(folder)
    manifest = loading.document(folder / MANIFEST, Manifest)
    loading.texts(IGNORE_FILE, REQUIREMENTS)
    if manifest is None or loading.problems:
        return None, loading.problems
    plugin = Plugin(folder, manifest, packed_files(folder), Sources(folder))
    files = manifest.value.plugins
    plugin.tool_providers = loading.named(manifest.document, ("plugins", "tools"), files.tools, ToolProvider)
    plugin.endpoint_groups = loading.named(manifest.document, ("plugins", "endpoints"), files.endpoints, EndpointGroup)
    plugin.strategy_providers = loading.named(
        manifest.document, ("plugins", "agent_strategies"), files.agent_strategies, StrategyProvider
    )
    plugin.model_providers = loading.named(manifest.document, ("plugins", "models"), files.models, ModelProvider)
    for tools in plugin.tool_providers:
        plugin.tools += loading.named(tools.document, ("tools",), tools.value.tools, Tool)
    for group in plugin.endpoint_groups:
        plugin.endpoints += loading.named(group.document, ("endpoints",), group.value.endpoints, Endpoint)
    for strategies in plugin.strategy_providers:
        plugin.strategies += loading.named(strategies.document, ("strategies",), strategies.value.strategies, Strategy)
    for models in plugin.model_providers:
        plugin.models += loading.predefined(models)
    return plugin, loading.problems


@dataclass(slots=True)
class _Loading:
    """Reads documents and collects what is wrong with them."""

    folder: Path
    problems: list[Problem] = field(default_factory=list)

    def document(self, path: Path, model: type[D]) -> Declared[D] | None:
        document, problems = read(path)
        self.problems += problems
        if document is None:
            return None
        value, problems = check(document, model)
        self.problems += problems
        return Declared(document, value) if value else None

    def texts(self, *names: str) -> None:
        """Files that rules read as texts, where they are there."""
        found = [read_text(self.folder / name) for name in names if (self.folder / name).is_file()]
        self.problems += [problem for problem in found if isinstance(problem, Problem)]

    def named(self, owner: Document, at: Loc, paths: Iterable[str] | None, model: type[D]) -> list[Declared[D]]:
        """The documents a list in ``owner`` names."""
        found = []
        for index, path in enumerate(paths or ()):
            file = self.folder / path
            if not file.is_file() or not file.resolve().is_relative_to(self.folder.resolve()):
                what = f"there is no file {shown(path)} in the plugin"
                self.problems.append(owner.problem((*at, index), what, remedy="create it, or correct the path"))
            elif declared := self.document(file, model):
                found.append(declared)
        return found

    def predefined(self, provider: Declared[ModelProvider]) -> list[Declared[Model]]:
        """The models of a provider's patterns; position files are lists, not models."""
        found = []
        for kind, index, pattern in patterns(provider.value):
            files = sorted(file for file in self.folder.glob(pattern) if not file.name.endswith("_position.yaml"))
            if not files:
                what = f"no file matches {shown(pattern)}"
                loc = ("models", kind, "predefined", index)
                self.problems.append(
                    provider.problem(loc, what, remedy="add a model's YAML file, or remove the pattern")
                )
            found += [declared for file in files if (declared := self.document(file, Model))]
        return found


def patterns(provider: ModelProvider) -> Iterator[tuple[str, int, str]]:
    """Type, index and text of each pattern of predefined models."""
    for kind, models in provider.models or ():
        for index, pattern in enumerate(models.predefined if models else ()):
            yield kind, index, pattern
