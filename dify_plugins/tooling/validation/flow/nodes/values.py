"""Nodes that choose, read or keep values."""

# Keys are spelt as Dify's editor spells them.
# ruff: noqa: N815

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from dify_plugins.tooling.validation.flow.app import Number, Selector
from dify_plugins.tooling.validation.flow.nodes.base import NodeData, ValueType
from dify_plugins.tooling.validation.flow.nodes.branches import Operator
from dify_plugins.tooling.validation.flow.nodes.models import Vision
from dify_plugins.tooling.validation.flow.part import Part


class Group(Part):
    """Variables of which the first that has a value counts."""

    group_name: Annotated[str, Field(min_length=1)]
    output_type: ValueType
    variables: list[Selector]
    groupId: str | None = None


class Groups(Part):
    """Several groups in one node."""

    group_enabled: bool
    groups: list[Group] = Field(default_factory=list)


class VariableAggregator(NodeData):
    """Branches meet again: the first variable that has a value counts."""

    output_type: ValueType
    variables: list[Selector]
    advanced_settings: Groups | None = None


class DocumentExtractor(NodeData):
    """The text of a file."""

    variable_selector: Selector
    is_array_file: bool | None = None


class FilterCondition(Part):
    """Which items stay."""

    key: str = ""
    comparison_operator: Operator
    value: str | list[str] | bool | None = None


class Filter(Part):
    """Whether items are chosen."""

    enabled: bool
    conditions: list[FilterCondition] = Field(default_factory=list)


class Order(Part):
    """Whether items are sorted."""

    enabled: bool
    key: str = ""
    value: Literal["asc", "desc"] = "asc"


class Limit(Part):
    """Whether only the first items stay."""

    enabled: bool
    size: int = 10


class Extract(Part):
    """Whether one item is taken."""

    enabled: bool
    serial: str = "1"


class ListOperator(NodeData):
    """Items of a list are chosen, sorted, counted off."""

    variable: Selector
    filter_by: Filter
    order_by: Order
    limit: Limit
    extract_by: Extract | None = None
    var_type: ValueType | None = None
    item_var_type: ValueType | None = None


class Assignment(Part):
    """A variable of the conversation gets a value."""

    variable_selector: Selector
    input_type: Literal["variable", "constant"]
    operation: Literal[
        "over-write", "clear", "append", "extend", "set", "+=", "-=", "*=", "/=", "remove-first", "remove-last"
    ]
    value: Any = None
    write_mode: str | None = None


class Assigner(NodeData):
    """Variables of the conversation get values."""

    version: Literal["2"]
    items: Annotated[list[Assignment], Field(min_length=1)]


class Reranking(Part):
    """A reranking model of Dify."""

    provider: str
    model: str


class Retrieval(Part):
    """How several datasets are searched."""

    top_k: Annotated[int, Field(ge=1)]
    score_threshold: Number | None = None
    score_threshold_enabled: bool | None = None
    reranking_enable: bool | None = None
    reranking_mode: Literal["reranking_model", "weighted_score"] | None = None
    reranking_model: Reranking | None = None
    weights: dict[str, Any] | None = None


class KnowledgeRetrieval(NodeData):
    """Dify's own search in datasets."""

    query_variable_selector: Selector
    dataset_ids: list[str]
    retrieval_mode: Literal["single", "multiple"]
    multiple_retrieval_config: Retrieval | None = None
    metadata_filtering_mode: Literal["disabled", "automatic", "manual"] | None = None
    metadata_filtering_conditions: dict[str, Any] | None = None
    vision: Vision | None = None
