"""Values that a node gives to parameters of a tool or strategy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dify_plugins.tooling.validation.declarations.agent import StrategyParameter
from dify_plugins.tooling.validation.declarations.tool import ToolParameter
from dify_plugins.tooling.validation.document import Loc
from dify_plugins.tooling.validation.flow.flow import Flow
from dify_plugins.tooling.validation.flow.nodes.plugins import ToolInput
from dify_plugins.tooling.validation.flow.outputs import type_of
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown
from dify_plugins.tooling.validation.rules.values import within

_CONSTANTS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "secret-input": (str,),
    "select": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "checkbox": (bool,),
    "model-selector": (dict,),
    "app-selector": (dict,),
    "array[tools]": (list,),
}


_FILES = {"file", "files"}


@dataclass(frozen=True, slots=True)
class Inputs:
    """Values by parameter.

    Attributes:
        at: the way to them.
        node_id: the node that gives them.
    """

    flow: Flow
    node_id: str
    at: Loc
    given: Mapping[str, ToolInput]

    def problems(self, known: Sequence[ToolParameter | StrategyParameter]) -> Iterator[Problem]:
        """Unknown parameters, required ones that are left out, and values of the wrong kind."""
        by_name = {parameter.name: parameter for parameter in known}
        for name, value in self.given.items():
            if name in by_name:
                yield from self._value(by_name[name], value)
            else:
                what = f"node {self.node_id}: there is no parameter {shown(name)} here"
                remedy = meant(name, by_name, "remove it")
                yield self.flow.document.problem(
                    (*self.at, name), what, allowed=listed(by_name), remedy=remedy, of_key=True
                )
        for name, parameter in by_name.items():
            empty = name not in self.given or self.given[name].value in (None, "", [])
            if parameter.required and parameter.default is None and empty:
                what = f"node {self.node_id}: the parameter {name} is required, and has no value"
                yield self.flow.document.problem((*self.at, name), what, remedy=f"give {name} a value", of_key=True)

    def _value(self, parameter: ToolParameter | StrategyParameter, given: ToolInput) -> Iterator[Problem]:
        value, loc = given.value, (*self.at, parameter.name, "value")
        if value is None:
            return
        what = f"node {self.node_id}: {parameter.name} is {shown(value)}"
        if parameter.type in _FILES and not self._is_file(given):
            allowed = "the variable of a file, with type: variable"
            yield self.flow.document.problem(loc, what, allowed=allowed, remedy="name one")
            return
        if given.type == "mixed" and not isinstance(value, str):
            yield self.flow.document.problem(
                loc, what, allowed="a text, as the type is mixed", remedy="change one of them"
            )
        elif given.type == "variable" and not (isinstance(value, list) and len(value) > 1):
            allowed = "a list of a node and its variable, as the type is variable"
            yield self.flow.document.problem(loc, what, allowed=allowed, remedy="change one of them")
        elif given.type == "constant" and not (isinstance(value, str) and "{{#" in value):
            types = _CONSTANTS.get(parameter.type)
            if types and type(value) not in types:
                yield self.flow.document.problem(loc, what, allowed=f"a {parameter.type}", remedy="change it")
            elif parameter.options and value not in [option.value for option in parameter.options]:
                values = [option.value for option in parameter.options]
                remedy = meant(value, values, "choose one of them")
                yield self.flow.document.problem(loc, what, allowed=listed(values), remedy=remedy)
            elif isinstance(value, int | float) and not within(value, parameter.min, parameter.max):
                allowed = f"{parameter.min} to {parameter.max}"
                yield self.flow.document.problem(loc, what, allowed=allowed, remedy="change it")

    def _is_file(self, given: ToolInput) -> bool:
        """Whether a value is a variable that may be a file."""
        if given.type != "variable" or not isinstance(given.value, list):
            return False
        owner, *rest = (str(part) for part in given.value)
        if len(rest) != 1 or owner not in self.flow.by_id:
            return True
        return type_of(self.flow.by_id[owner], rest[0], self.flow.catalogue) in {None, "file", "array[file]"}
