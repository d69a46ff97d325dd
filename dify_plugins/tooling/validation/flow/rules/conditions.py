"""Rules about comparisons."""

from __future__ import annotations

from collections.abc import Iterator

from dify_plugins.tooling.validation.flow.flow import Flow
from dify_plugins.tooling.validation.flow.nodes import IfElse
from dify_plugins.tooling.validation.flow.outputs import type_of
from dify_plugins.tooling.validation.problem import Problem, listed, meant

_PRESENCE = {"empty", "not empty", "null", "not null", "exists", "not exists"}
_OF_NUMBERS = {"=", "≠", ">", "<", "≥", "≤"}
_OPERATORS = {
    "string": {"contains", "not contains", "start with", "end with", "is", "is not", "in", "not in"},
    "number": _OF_NUMBERS,
    "integer": _OF_NUMBERS,
    "boolean": {"is", "is not"},
}


def fit_their_types(flow: Flow) -> Iterator[Problem]:
    """Texts are not compared by size, numbers not by their letters; Dify's engine fails the run on both."""
    for node, data in flow.of(IfElse):
        for number, case in enumerate(data.cases):
            for index, condition in enumerate(case.conditions):
                owner, *rest = condition.variable_selector
                declared = None
                if len(rest) == 1 and owner in flow.by_id:
                    declared = type_of(flow.by_id[owner], rest[0], flow.catalogue)
                kind, operator = declared or condition.varType or "", condition.comparison_operator
                known = _OPERATORS.get(kind, {operator}) | _PRESENCE
                if operator not in known:
                    what = f"node {node.id}: {operator} does not compare a {kind}"
                    loc = (*node.at, "data", "cases", number, "conditions", index, "comparison_operator")
                    remedy = meant(operator, known, "choose one of them")
                    yield flow.document.problem(loc, what, allowed=listed(known), remedy=remedy)
