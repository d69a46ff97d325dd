"""Rules about parameters of tools and strategies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dify_plugins.tooling.validation.declarations.agent import StrategyParameter
from dify_plugins.tooling.validation.declarations.tool import ToolParameter
from dify_plugins.tooling.validation.document import Document, Loc
from dify_plugins.tooling.validation.plugin import Plugin
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown
from dify_plugins.tooling.validation.rules.values import Value

SCOPES = {
    "app-selector": {"all", "chat", "workflow", "completion"},
    "model-selector": {
        "llm",
        "text-embedding",
        "rerank",
        "tts",
        "speech2text",
        "moderation",
        "vision",
        "document",
        "tool-call",
    },
    "any": {
        "string",
        "number",
        "object",
        "array[number]",
        "array[string]",
        "array[object]",
        "array[file]",
    },
}
"""What may be chosen, by the type of a parameter or credential that has a scope."""
_DEFAULTS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "secret-input": (str,),
    "select": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "checkbox": (bool,),
    "any": (str, int, float),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter and where it stands."""

    document: Document
    at: Loc
    declared: ToolParameter | StrategyParameter

    def value(self) -> Value:
        """What may be chosen."""
        found = self.declared
        return Value(
            document=self.document,
            at=self.at,
            name=f"parameter {found.name}",
            kind=found.type,
            defaults=_DEFAULTS.get(found.type, ()),
            has_options=found.type == "select",
            options=[option.value for option in found.options or ()],
            default=found.default,
            min=found.min,
            max=found.max,
        )

    def problem(self, key: str, what: str, *, remedy: str, allowed: str = "") -> Problem:
        """A finding at a key of the parameter, named with it."""
        text = f"parameter {self.declared.name}: {what}"
        return self.document.problem((*self.at, key), text, remedy=remedy, allowed=allowed)


def of_tools(plugin: Plugin) -> Iterator[Problem]:
    """All rules, and what models must be told."""
    for tool in plugin.tools:
        parameters = [
            Parameter(tool.document, ("parameters", index), parameter)
            for index, parameter in enumerate(tool.value.parameters)
        ]
        yield from _all(parameters)
        for parameter, declared in zip(parameters, tool.value.parameters, strict=True):
            if declared.form == "llm" and not declared.llm_description:
                what = "llm_description is missing, and the form is llm"
                yield parameter.problem("form", what, remedy="tell the model what to fill in, or use the form form")


def of_strategies(plugin: Plugin) -> Iterator[Problem]:
    """All rules."""
    for strategy in plugin.strategies:
        yield from _all(
            [
                Parameter(strategy.document, ("parameters", index), parameter)
                for index, parameter in enumerate(strategy.value.parameters)
            ]
        )


def _all(parameters: list[Parameter]) -> Iterator[Problem]:
    names: set[str] = set()
    for parameter in parameters:
        if parameter.declared.name in names:
            yield parameter.problem("name", "there is another of this name", remedy="give each a name of its own")
        names.add(parameter.declared.name)
        yield from _bounds(parameter)
        yield from parameter.value().problems()
        yield from scope(parameter.document, parameter.at, parameter.declared.type, parameter.declared.scope)


def _bounds(parameter: Parameter) -> Iterator[Problem]:
    """Only numbers have bounds."""
    declared = parameter.declared
    for key in ("min", "max", "precision"):
        if getattr(declared, key) is not None and declared.type != "number":
            what = f"it has {key}, and its type is {declared.type}"
            yield parameter.problem(key, what, remedy=f"make it a number, or remove {key}")


def scope(document: Document, at: Loc, kind: str, value: str | None) -> Iterator[Problem]:
    """What may be chosen, in words that Dify knows, joined by ``&``."""
    if value is None:
        return
    known = SCOPES.get(kind)
    if known is None:
        what = f"it has a scope, and its type is {kind}"
        yield document.problem((*at, "scope"), what, allowed=f"a scope with {listed(SCOPES)}", remedy="remove it")
        return
    for part in value.split("&"):
        if part.strip() not in known:
            remedy = meant(part.strip(), known, "choose one of them")
            what = f"{shown(part.strip())} is no scope of {kind}"
            yield document.problem((*at, "scope"), what, allowed=f"{listed(known)}, joined by &", remedy=remedy)
