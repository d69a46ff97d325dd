"""Tool providers and tools."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dify_plugins.tooling.validation.declarations.common import (
    Extra,
    Identity,
    Label,
    Name,
    Parameter,
    Path,
    ProviderIdentity,
    Text,
)
from dify_plugins.tooling.validation.declarations.credentials import Credential
from dify_plugins.tooling.validation.declarations.json_schema import OutputSchema
from dify_plugins.tooling.validation.schema import Declaration

ParameterType = Literal[
    "string",
    "number",
    "boolean",
    "select",
    "secret-input",
    "file",
    "files",
    "app-selector",
    "model-selector",
    "any",
    "array",
    "object",
    "checkbox",
]


class ToolParameter(Parameter):
    """One parameter of a tool."""

    human_description: Label
    type: Annotated[
        ParameterType, Field(description="dynamic-select, date and date-range do not run on dify_plugin 0.7.4")
    ]
    form: Literal["schema", "form", "llm"]
    llm_description: Text | None = None


class ToolDescription(Declaration):
    """What a tool does, for people and for models."""

    human: Label
    llm: Text


class Tool(Declaration):
    """A tool."""

    identity: Identity
    description: ToolDescription
    parameters: list[ToolParameter] = Field(default_factory=list)
    output_schema: OutputSchema | None = None
    extra: Extra


class ToolProvider(Declaration):
    """Tools that share credentials."""

    identity: ProviderIdentity
    credentials_for_provider: dict[Name, Credential] = Field(default_factory=dict)
    tools: Annotated[list[Path], Field(min_length=1, description="a list of YAML files")]
    extra: Extra
