"""What all nodes say."""

# Keys are spelt as Dify's editor spells them.
# ruff: noqa: N815

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from dify_plugins.tooling.validation.flow.app import Selector
from dify_plugins.tooling.validation.flow.part import Part

ValueType = Literal[
    "string",
    "number",
    "integer",
    "boolean",
    "object",
    "secret",
    "file",
    "array",
    "array[string]",
    "array[number]",
    "array[boolean]",
    "array[object]",
    "array[file]",
    "array[any]",
    "any",
]


class Retry(Part):
    """How often a node that failed is tried again."""

    retry_enabled: bool = False
    max_retries: Annotated[int, Field(ge=0, le=10)] = 0
    retry_interval: Annotated[int, Field(ge=0, description="milliseconds")] = 0


class DefaultValue(Part):
    """What a node that failed gives instead."""

    key: str
    type: ValueType
    value: Any = None


class NodeData(Part):
    """What all nodes say."""

    type: str
    title: str
    desc: str | None = None
    selected: bool | None = None
    version: str | None = None
    error_strategy: Literal["fail-branch", "default-value"] | None = None
    default_value: list[DefaultValue] | None = None
    retry_config: Retry | None = None
    isInIteration: bool | None = None
    iteration_id: str | None = None
    isInLoop: bool | None = None


class Variable(Part):
    """A value under a name of the node's own."""

    variable: str
    value_selector: Selector
    value_type: ValueType | None = None
