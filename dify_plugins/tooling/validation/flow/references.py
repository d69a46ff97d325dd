"""The variables that a node names: selectors in lists, templates in texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dify_plugins.tooling.validation.document import Loc

_TEMPLATE = re.compile(r"\{\{#([^{}]*?)#\}\}")
NAMEABLE = re.compile(r"[a-zA-Z0-9_]{1,50}(\.[a-zA-Z_][a-zA-Z0-9_]{0,29}){1,10}")
"""What Dify takes for a variable in a template; anything else stays in the text as it is."""
_SELECTORS = {
    "value_selector",
    "variable_selector",
    "query_variable_selector",
    "iterator_selector",
    "output_selector",
}
_BY_TYPE = {"parameter-extractor": {"query"}, "list-operator": {"variable"}, "http-request": {"file"}}
_DESCRIPTIONS = {"output_schema", "paramSchemas", "params", "schemas"}
"""Copies of a plugin's declarations, which the editor saves with a node."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A variable and where it is named.

    Attributes:
        selector: a node, one of its variables, and parts of that.
        in_template: it stands in a text.
    """

    at: Loc
    selector: tuple[str, ...]
    in_template: bool


def references(data: dict[str, Any], at: Loc) -> Iterator[Reference]:
    """The variables that the data of a node names."""
    selectors = _SELECTORS | _BY_TYPE.get(str(data.get("type")), set())
    yield from _inside(data, at, selectors)


def _inside(value: Any, at: Loc, selectors: set[str]) -> Iterator[Reference]:
    if isinstance(value, str):
        for found in _TEMPLATE.finditer(value):
            yield Reference(at, tuple(found.group(1).split(".")), in_template=True)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _inside(item, (*at, index), selectors)
    elif isinstance(value, dict):
        is_variable = "variable" in (value.get("type"), value.get("input_type"))
        for key, item in value.items():
            here = (*at, key)
            if key in _DESCRIPTIONS:
                continue
            if (key in selectors or (key == "value" and is_variable)) and _is_selector(item):
                yield Reference(here, tuple(item), in_template=False)
            elif key == "variables" and isinstance(item, list) and all(_is_selector(part) for part in item):
                yield from (Reference((*here, index), tuple(part), False) for index, part in enumerate(item))
            else:
                yield from _inside(item, here, selectors)


def _is_selector(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(part, str) for part in value)


def texts(value: Any, loc: Loc) -> Iterator[tuple[Loc, str]]:
    """Every text below ``loc``."""
    if isinstance(value, str):
        yield loc, value
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield from texts(inner, (*loc, step))
