"""Nodes that choose a branch or repeat one."""

# Keys are spelt as Dify's editor spells them.
# ruff: noqa: N815

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dify_plugins.tooling.validation.flow.app import Number, Selector
from dify_plugins.tooling.validation.flow.nodes.base import NodeData, ValueType
from dify_plugins.tooling.validation.flow.part import Part

Operator = Literal[
    "contains",
    "not contains",
    "start with",
    "end with",
    "is",
    "is not",
    "empty",
    "not empty",
    "in",
    "not in",
    "all of",
    "=",
    "≠",
    ">",
    "<",
    "≥",
    "≤",
    "null",
    "not null",
    "exists",
    "not exists",
]
Logic = Literal["and", "or"]


class SubCondition(Part):
    """A comparison with a part of a file."""

    key: str
    comparison_operator: Operator
    value: str | list[str] | None = None
    id: str | None = None
    varType: str | None = None


class SubConditions(Part):
    """Comparisons with parts of a file."""

    case_id: str | None = None
    logical_operator: Logic
    conditions: list[SubCondition] = Field(default_factory=list)


class Condition(Part):
    """A comparison."""

    variable_selector: Selector
    comparison_operator: Operator
    value: str | list[str] | bool | None = None
    id: str | None = None
    varType: ValueType | None = None
    numberVarType: Literal["constant", "variable"] | None = None
    sub_variable_condition: SubConditions | None = None


class Case(Part):
    """A branch and when it is taken."""

    case_id: str
    id: str | None = None
    logical_operator: Logic
    conditions: Annotated[list[Condition], Field(min_length=1)]


class IfElse(NodeData):
    """The first case that holds is taken."""

    cases: Annotated[list[Case], Field(min_length=1)]


class Iteration(NodeData):
    """The nodes inside run for each item of a list."""

    start_node_id: str
    iterator_selector: Selector
    output_selector: Selector
    iterator_input_type: ValueType | None = None
    output_type: ValueType | None = None
    is_parallel: bool = False
    parallel_nums: Annotated[int, Field(ge=1)] = 10
    error_handle_mode: Literal["terminated", "continue-on-error", "remove-abnormal-output"] = "terminated"
    flatten_output: bool | None = None
    height: Number | None = None
    width: Number | None = None


class IterationStart(NodeData):
    """Where the nodes inside an iteration begin."""
