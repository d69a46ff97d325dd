"""Tool providers and tools."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dify_plugins.tooling.validation.declarations.common import (
    AutoGenerate,
    Default,
    Extra,
    Identity,
    Label,
    Name,
    Number,
    ParameterOption,
    Path,
    ProviderIdentity,
    Template,
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


class ToolParameter(Declaration):
    """One parameter of a tool."""

    name: Name
    label: Label
    human_description: Label
    type: Annotated[
        ParameterType, Field(description="dynamic-select, date and date-range do not run on dify_plugin 0.7.4")
    ]
    form: Literal["schema", "form", "llm"]
    llm_description: Text | None = None
    required: bool = False
    scope: str | None = None
    default: Default | None = None
    min: Number | None = None
    max: Number | None = None
    precision: Annotated[int, Field(ge=0)] | None = None
    options: list[ParameterOption] | None = None
    auto_generate: AutoGenerate | None = None
    template: Template | None = None


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
