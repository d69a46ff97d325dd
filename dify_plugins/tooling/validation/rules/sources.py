"""Rules about the Python files behind declarations."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import PurePosixPath

from packaging.utils import canonicalize_name

from dify_plugins.tooling.packed import IGNORE_FILE
from dify_plugins.tooling.validation.document import Document, Loc
from dify_plugins.tooling.validation.plugin import Plugin
from dify_plugins.tooling.validation.problem import Place, Problem, listed, meant, shown
from dify_plugins.tooling.validation.python_source import SDK, names, statements
from dify_plugins.tooling.validation.rules.requirements import lines

_SOURCE: Loc = ("extra", "python", "source")
MODEL_CLASSES = {
    "llm": "LargeLanguageModel",
    "text-embedding": "TextEmbeddingModel",
    "rerank": "RerankModel",
    "tts": "TTSModel",
    "speech2text": "Speech2TextModel",
    "moderation": "ModerationModel",
}
"""The class of the SDK for each type of model."""


_OF_MODELS = frozenset({"_invoke", "validate_credentials", "_invoke_error_mapping"})
_ABSTRACT: dict[str, frozenset[str]] = {
    "ToolProvider": frozenset(),
    "ModelProvider": frozenset({"validate_provider_credentials"}),
    "LargeLanguageModel": _OF_MODELS | {"get_num_tokens"},
    "TextEmbeddingModel": _OF_MODELS | {"get_num_tokens"},
    **dict.fromkeys(("Tool", "Endpoint", "AgentStrategy"), frozenset({"_invoke"})),
    **dict.fromkeys(("RerankModel", "TTSModel", "Speech2TextModel", "ModerationModel"), _OF_MODELS),
}
"""The methods that each class of the SDK leaves to plugins (abstract in 0.7.4 and in 0.10.2)."""


def parse(plugin: Plugin) -> Iterator[Problem]:
    """Every Python file of the package is Python."""
    for path in plugin.packed:
        if path.suffix == ".py" and isinstance(tree := plugin.sources.tree(path), Problem):
            yield tree


def one_class_each(plugin: Plugin) -> Iterator[Problem]:
    """The SDK takes the one subclass that a file names, and fails where there is none or more."""
    for document, loc, source, base in _sources(plugin):
        yield from _one_class(plugin, document, loc, source, base)


def _sources(plugin: Plugin) -> Iterator[tuple[Document, Loc, str, str]]:
    for provider in plugin.tool_providers:
        yield provider.document, _SOURCE, provider.value.extra.python.source, "ToolProvider"
    for tool in plugin.tools:
        yield tool.document, _SOURCE, tool.value.extra.python.source, "Tool"
    for endpoint in plugin.endpoints:
        yield endpoint.document, _SOURCE, endpoint.value.extra.python.source, "Endpoint"
    for strategy in plugin.strategies:
        yield strategy.document, _SOURCE, strategy.value.extra.python.source, "AgentStrategy"
    for models in plugin.model_providers:
        loc = ("extra", "python", "provider_source")
        yield models.document, loc, models.value.extra.python.provider_source, "ModelProvider"


def _one_class(plugin: Plugin, document: Document, loc: Loc, source: str, base: str) -> Iterator[Problem]:
    path = PurePosixPath(source)
    if path not in plugin.packed:
        yield _missing(document, loc, source)
    elif not isinstance(plugin.sources.tree(path), Problem):
        found = plugin.sources.subclasses(path, frozenset({base}))
        if len(found) != 1:
            what = f"{source} names {len(found)} subclasses of dify_plugin.{base}: {listed(found)}"
            remedy = "leave one; import a shared base class by its module"
            yield document.problem(loc, what, allowed="exactly one", remedy=remedy if found else "write it")


def classes_are_complete(plugin: Plugin) -> Iterator[Problem]:
    """Python makes no object of a class with an abstract method: the plugin starts, and every call fails."""
    for _, _, source, base in _sources(plugin):
        yield from _complete(plugin, source, frozenset({base}))
    for provider in plugin.model_providers:
        for source in provider.value.extra.python.model_sources:
            yield from _complete(plugin, source, frozenset(MODEL_CLASSES.values()))


def _complete(plugin: Plugin, source: str, bases: frozenset[str]) -> Iterator[Problem]:
    path = PurePosixPath(source)
    for name, base in plugin.sources.subclasses(path, bases).items():
        lineage = plugin.sources.lineage(path, name)
        if lacking := lineage.lacks(_ABSTRACT[base]):
            what = f"{name} lacks {listed(lacking)}, so that no {base} can be made of it"
            own = plugin.sources.tree(path)
            body = own.body if isinstance(own, ast.Module) else []
            line = next((node.lineno for node in body if isinstance(node, ast.ClassDef) and node.name == name), 1)
            yield Place(plugin.folder / path, line).problem(what, remedy="write it")


def own_imports_exist(plugin: Plugin) -> Iterator[Problem]:
    """What a file imports from the plugin's own files is there; the plugin ends at its start otherwise."""
    packed = {path for file in plugin.packed for path in (file, *file.parents)}
    for path in plugin.packed:
        tree = plugin.sources.tree(path) if path.suffix == ".py" else None
        for node in statements(tree) if isinstance(tree, ast.Module) else ():
            place = Place(plugin.folder / path, getattr(node, "lineno", 1))
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from _module_exists(packed, place, alias.name)
            elif isinstance(node, ast.ImportFrom) and node.level >= len(path.parts) > 0 and node.level:
                what = f"{'.' * node.level}{node.module or ''} leads out of the plugin"
                yield place.problem(what, remedy="import by the whole name, from the plugin's folder on")
            elif isinstance(node, ast.ImportFrom):
                module = ".".join(
                    [*path.parts[: -node.level], *filter(None, [node.module])] if node.level else [node.module or ""]
                )
                missing = list(_module_exists(packed, place, module))
                yield from missing
                if not missing:
                    yield from _names_exist(plugin, packed, place, module, [alias.name for alias in node.names])


def _module_exists(packed: set[PurePosixPath], place: Place, module: str) -> Iterator[Problem]:
    path = PurePosixPath(*module.split("."))
    own = {PurePosixPath(path.parts[0]), PurePosixPath(f"{path.parts[0]}.py")} & packed
    if own and path not in packed and path.with_name(f"{path.name}.py") not in packed:
        what = f"{module} is imported, and the package has no such module"
        yield place.problem(what, remedy=f"write it, correct the name, or take it out of {IGNORE_FILE}")


def _names_exist(
    plugin: Plugin, packed: set[PurePosixPath], place: Place, module: str, wanted: list[str]
) -> Iterator[Problem]:
    file = plugin.sources.module(module)
    tree = plugin.sources.tree(file) if file else None
    known = names(tree) if isinstance(tree, ast.Module) else None
    folder = PurePosixPath(*module.split("."))
    modules = {path.stem for path in packed if path.parent == folder}
    for name in wanted:
        if known is not None and name not in {"*", *known, *modules} and not name.startswith("__"):
            what = f"{module} has no {name}"
            yield place.problem(what, remedy=meant(name, known | modules, "write it, or correct the name"))


def names_hide_no_library(plugin: Plugin) -> Iterator[Problem]:
    """The plugin's folder comes first when Python looks for a module, for every library as well."""
    required = {canonicalize_name(line.requirement.name).replace("-", "_") for line in lines(plugin)[0]}
    libraries = {SDK, *required, *sys.stdlib_module_names}
    for path in plugin.packed:
        name = path.stem if len(path.parts) == 1 else path.parts[0]
        is_module = path.suffix == ".py" and (len(path.parts) == 1 or path.parts[1:] == ("__init__.py",))
        if is_module and name in libraries:
            what = f"{path} hides the library {name}, also from other libraries"
            yield Place(plugin.folder / path).problem(what, remedy="rename it")


def models_have_classes(plugin: Plugin) -> Iterator[Problem]:
    """Every type of model that is promised has a class, and no two files have one for the same type."""
    kinds = {base: kind for kind, base in MODEL_CLASSES.items()}
    for provider in plugin.model_providers:
        found: dict[str, str] = {}
        for index, source in enumerate(provider.value.extra.python.model_sources):
            loc = ("extra", "python", "model_sources", index)
            if PurePosixPath(source) not in plugin.packed:
                yield _missing(provider.document, loc, source)
                continue
            bases = set(plugin.sources.subclasses(PurePosixPath(source), frozenset(kinds)).values())
            if not bases and not isinstance(plugin.sources.tree(PurePosixPath(source)), Problem):
                what = f"{source} has no class of a model"
                allowed = f"a subclass of {listed(kinds)}"
                yield provider.problem(loc, what, allowed=allowed, remedy="write it, or remove the file from the list")
            for kind in sorted(kinds[base] for base in bases):
                if kind in found:
                    what = f"{source} has a class for {kind}, and so has {found[kind]}"
                    yield provider.problem(loc, what, remedy="keep one of the two")
                found[kind] = source
        for index, kind in enumerate(provider.value.supported_model_types):
            if kind not in found:
                what = f"{kind} is supported, and no file of model_sources has a subclass of {MODEL_CLASSES[kind]}"
                yield provider.problem(("supported_model_types", index), what, remedy="write it, or remove the type")


def _missing(document: Document, loc: Loc, source: str) -> Problem:
    what = f"there is no file {shown(source)} in the package"
    return document.problem(loc, what, remedy="create it, correct the path, or take it out of .difyignore")
