"""Nodes that ask a model of Dify."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from dify_plugins.tooling.validation.flow.app import Selector
from dify_plugins.tooling.validation.flow.nodes.base import NodeData, Variable
from dify_plugins.tooling.validation.flow.part import Part


class ModelConfig(Part):
    """A model of Dify."""

    provider: str
    name: Annotated[str, Field(min_length=1)]
    mode: Literal["chat", "completion"]
    completion_params: dict[str, Any] = Field(default_factory=dict)


class Message(Part):
    """A message of a prompt."""

    role: Literal["system", "user", "assistant"]
    text: str
    id: str | None = None
    edition_type: Literal["basic", "jinja2"] | None = None
    jinja2_text: str | None = None


class Jinja(Part):
    """The variables of Jinja prompts."""

    jinja2_variables: list[Variable] | None = None


class Window(Part):
    """How much of a conversation a model is told."""

    enabled: bool
    size: Annotated[int, Field(ge=1)] | None = None


class RolePrefix(Part):
    """How speakers are called."""

    user: str
    assistant: str


class Memory(Part):
    """What a model is told of the conversation."""

    window: Window
    query_prompt_template: str | None = None
    role_prefix: RolePrefix | None = None


class Context(Part):
    """Passages for a prompt."""

    enabled: bool
    variable_selector: Selector | None = None


class VisionConfig(Part):
    """Which images."""

    variable_selector: Selector | None = None
    detail: Literal["low", "high"] | None = None


class Vision(Part):
    """Images for a prompt."""

    enabled: bool = False
    configs: VisionConfig | None = None


class Llm(NodeData):
    """A model answers."""

    model: ModelConfig
    prompt_template: Annotated[list[Message], Field(min_length=1)]
    context: Context
    prompt_config: Jinja | None = None
    memory: Memory | None = None
    vision: Vision | None = None
    structured_output: dict[str, Any] | None = None
    structured_output_enabled: bool | None = None
    structured_output_switch_on: bool | None = None
    reasoning_format: Literal["separated", "tagged"] | None = None
    variables: list[Variable] | None = None


class QuestionClass(Part):
    """A branch and which questions take it."""

    id: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    label: str | None = None


class QuestionClassifier(NodeData):
    """A model chooses a branch."""

    query_variable_selector: Selector
    model: ModelConfig
    classes: Annotated[list[QuestionClass], Field(min_length=2)]
    instruction: str | None = None
    instructions: str | None = None
    topics: list[str] | None = None
    memory: Memory | None = None
    vision: Vision | None = None


class ExtractedParameter(Part):
    """A value to find in a text."""

    name: Annotated[str, Field(min_length=1)]
    type: Literal[
        "string",
        "number",
        "boolean",
        "bool",
        "select",
        "array[string]",
        "array[number]",
        "array[boolean]",
        "array[object]",
    ]
    description: str
    required: bool
    options: list[str] | None = None


class ParameterExtractor(NodeData):
    """A model finds values in a text."""

    model: ModelConfig
    query: Selector
    parameters: Annotated[list[ExtractedParameter], Field(min_length=1)]
    reasoning_mode: Literal["function_call", "prompt"]
    instruction: str | None = None
    memory: Memory | None = None
    vision: Vision | None = None
    variables: list[Variable] | None = None
