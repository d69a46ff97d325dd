"""Nodes that call plugins."""

# Keys are spelt as Dify's editor spells them.
# ruff: noqa: N815

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from dify_plugins.tooling.validation.flow.nodes.base import NodeData
from dify_plugins.tooling.validation.flow.nodes.models import Memory
from dify_plugins.tooling.validation.flow.part import Part


class ToolInput(Part):
    """A value of a parameter: a text with templates, a variable, or a constant."""

    type: Literal["mixed", "variable", "constant"]
    value: Any


class Tool(NodeData):
    """A tool is called."""

    provider_id: str
    provider_name: str
    provider_type: Annotated[Literal["builtin"], Field(description="builtin is what Dify calls tools of plugins")]
    tool_name: str
    tool_label: str
    tool_parameters: dict[str, ToolInput]
    tool_configurations: dict[str, ToolInput]
    tool_node_version: Literal["2"]
    tool_description: str | None = None
    plugin_id: str | None = None
    plugin_unique_identifier: str | None = None
    output_schema: dict[str, Any] | None = None
    paramSchemas: list[dict[str, Any]] | None = None
    params: dict[str, Any] | None = None
    is_team_authorization: bool | None = None


class AgentMeta(Part):
    """What a strategy's plugin says of itself."""

    version: str | None = None
    minimum_dify_version: str | None = None


class Agent(NodeData):
    """A strategy of a plugin answers with a model and tools."""

    agent_strategy_provider_name: str
    agent_strategy_name: str
    agent_strategy_label: str
    agent_parameters: dict[str, ToolInput]
    tool_node_version: Literal["2"] | None = None
    plugin_unique_identifier: str | None = None
    output_schema: dict[str, Any] | None = None
    memory: Memory | None = None
    meta: AgentMeta | None = None
