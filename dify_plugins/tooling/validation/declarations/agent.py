"""Agent strategy providers and strategies."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dify_plugins.tooling.validation.declarations.common import (
    Extra,
    Identity,
    Label,
    Parameter,
    Path,
    ProviderIdentity,
)
from dify_plugins.tooling.validation.declarations.json_schema import OutputSchema
from dify_plugins.tooling.validation.schema import Declaration

StrategyParameterType = Literal[
    "string",
    "number",
    "boolean",
    "select",
    "secret-input",
    "file",
    "files",
    "app-selector",
    "model-selector",
    "array[tools]",
    "any",
]


class StrategyParameter(Parameter):
    """One parameter of a strategy."""

    help: Label | None = None
    type: StrategyParameterType


class Strategy(Declaration):
    """A way an Agent node works."""

    identity: Identity
    description: Label
    parameters: list[StrategyParameter] = Field(default_factory=list)
    features: list[Literal["history-messages"]] = Field(default_factory=list)
    output_schema: OutputSchema | None = None
    extra: Extra


class StrategyProvider(Declaration):
    """Strategies."""

    identity: ProviderIdentity
    strategies: Annotated[list[Path], Field(min_length=1, description="a list of YAML files")]
    extra: Extra | None = None
