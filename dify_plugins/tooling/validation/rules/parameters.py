"""Rules about parameters of tools and strategies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dify_plugins.tooling.validation.declarations.agent import StrategyParameter
from dify_plugins.tooling.validation.declarations.tool import ToolParameter
from dify_plugins.tooling.validation.document import Document, Loc
from dify_plugins.tooling.validation.plugin import Plugin
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown

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
_WORDS = {str: "a text", int: "a number", float: "a number", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter and where it stands."""

    document: Document
    at: Loc
    declared: ToolParameter | StrategyParameter

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
        yield from _options(parameter)
        yield from _bounds(parameter)
        yield from _default(parameter)
        yield from scope(parameter.document, parameter.at, parameter.declared.type, parameter.declared.scope)


def _options(parameter: Parameter) -> Iterator[Problem]:
    """A select has options, each once; nothing else has any."""
    declared = parameter.declared
    if declared.type != "select":
        if declared.options:
            what = f"it has options, and its type is {declared.type}"
            yield parameter.problem("options", what, remedy="make it a select, or remove them")
        return
    if not declared.options:
        yield parameter.problem("type", "a select without options", remedy="add options, each with value and label")
    values: set[str] = set()
    for index, option in enumerate(declared.options or ()):
        if option.value in values:
            what = f"the option {shown(option.value)} stands here a second time"
            loc = (*parameter.at, "options", index, "value")
            yield parameter.document.problem(loc, f"parameter {declared.name}: {what}", remedy="keep one of the two")
        values.add(option.value)


def _bounds(parameter: Parameter) -> Iterator[Problem]:
    """Only numbers have bounds, and the lower one is the lower one."""
    declared = parameter.declared
    for key in ("min", "max", "precision"):
        if getattr(declared, key) is not None and declared.type != "number":
            what = f"it has {key}, and its type is {declared.type}"
            yield parameter.problem(key, what, remedy=f"make it a number, or remove {key}")
    if declared.min is not None and declared.max is not None and declared.min > declared.max:
        yield parameter.problem("min", f"min {declared.min} is over max {declared.max}", remedy="swap them")


def _default(parameter: Parameter) -> Iterator[Problem]:
    """The default is a value a user could have chosen."""
    declared, default = parameter.declared, parameter.declared.default
    if default is None:
        return
    types = _DEFAULTS.get(declared.type)
    if types is None:
        what = f"it has a default, and its type is {declared.type}"
        yield parameter.problem("default", what, remedy="remove it")
    elif type(default) not in types:
        what = f"its default is {shown(default)}, and its type is {declared.type}"
        allowed = listed({_WORDS[kind] for kind in types})
        yield parameter.problem("default", what, allowed=allowed, remedy="change it")
    elif declared.type == "select":
        values = [option.value for option in declared.options or ()]
        if default not in values:
            what = f"its default {shown(default)} is not among its options"
            yield parameter.problem(
                "default", what, allowed=listed(values), remedy=meant(default, values, "choose one")
            )
    elif isinstance(default, int | float) and not isinstance(default, bool):
        low, high = declared.min, declared.max
        if (low is not None and default < low) or (high is not None and default > high):
            allowed = f"{'' if low is None else low} to {'' if high is None else high}"
            yield parameter.problem(
                "default", f"its default is {default}", allowed=allowed, remedy="change one of them"
            )


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
