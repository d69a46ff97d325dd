"""Rules about the Python files behind declarations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from dify_plugins.tooling.validation.document import Document, Loc
from dify_plugins.tooling.validation.plugin import Plugin
from dify_plugins.tooling.validation.problem import Problem, listed, shown

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
