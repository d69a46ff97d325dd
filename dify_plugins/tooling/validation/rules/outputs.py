"""Rules about the variables of tools and strategies."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dify_plugins.tooling.validation.declarations.json_schema import JsonSchema, OutputSchema
from dify_plugins.tooling.validation.document import Document, Loc
from dify_plugins.tooling.validation.plugin import Plugin
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown

RESERVED = ("text", "json", "files")
"""What every tool gives in any case."""
_VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,29}")


def of_tools(plugin: Plugin) -> Iterator[Problem]:
    """The variables of tools."""
    for tool in plugin.tools:
        yield from _variables(tool.document, tool.value.output_schema)


def of_strategies(plugin: Plugin) -> Iterator[Problem]:
    """The variables of strategies."""
    for strategy in plugin.strategies:
        yield from _variables(strategy.document, strategy.value.output_schema)


def _variables(document: Document, schema: OutputSchema | None) -> Iterator[Problem]:
    if schema is None:
        return
    at: Loc = ("output_schema",)
    for name, variable in schema.properties.items():
        loc = (*at, "properties", name)
        if name in RESERVED:
            what = f"the variable {name} is one that Dify makes itself"
            yield document.problem(loc, what, remedy=f"call it otherwise than {listed(RESERVED)}", of_key=True)
        elif not _VARIABLE.fullmatch(name):
            what = f"a flow cannot name the variable {shown(name)}"
            allowed = "up to 30 of a-z, A-Z, 0-9 and _, no digit first"
            yield document.problem(loc, what, allowed=allowed, remedy="rename it", of_key=True)
        yield from _value(document, loc, variable)
    yield from _required(document, at, schema)


def _value(document: Document, at: Loc, schema: JsonSchema) -> Iterator[Problem]:
    """An array says of what, and nothing else has items or properties."""
    if schema.type == "array" and schema.items is None:
        yield document.problem((*at, "type"), "an array without items", remedy="add items: {type: ...}")
    for key, kind in (("items", "array"), ("properties", "object")):
        if getattr(schema, key) is not None and schema.type != kind:
            what = f"it has {key}, and its type is {schema.type}"
            yield document.problem((*at, key), what, remedy=f"make it an {kind}, or remove {key}", of_key=True)
    if schema.items:
        yield from _value(document, (*at, "items"), schema.items)
    for name, inner in (schema.properties or {}).items():
        yield from _value(document, (*at, "properties", name), inner)
    yield from _required(document, at, schema)


def _required(document: Document, at: Loc, schema: JsonSchema | OutputSchema) -> Iterator[Problem]:
    known = schema.properties or {}
    for index, name in enumerate(schema.required or ()):
        if name not in known:
            what = f"required names {shown(name)}, which is no property"
            remedy = meant(name, known, "name one of them")
            yield document.problem((*at, "required", index), what, allowed=listed(known), remedy=remedy)
