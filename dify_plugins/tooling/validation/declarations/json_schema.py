"""The part of JSON Schema that describes the variables of a tool."""

# Keys are spelt as JSON Schema spells them.
# ruff: noqa: N815

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from dify_plugins.tooling.validation.schema import Declaration

Type = Literal["string", "number", "integer", "boolean", "object", "array", "null"]


class JsonSchema(Declaration):
    """A value of a variable."""

    type: Type
    title: str | None = None
    description: str | None = None
    properties: dict[str, JsonSchema] | None = None
    items: JsonSchema | None = None
    required: list[str] | None = None
    additionalProperties: bool | JsonSchema | None = None
    enum: list[Any] | None = None
    format: str | None = None
    default: Any = None
    minimum: int | float | None = None
    maximum: int | float | None = None


class OutputSchema(Declaration):
    """All variables of a tool, by name."""

    type: Literal["object"]
    properties: dict[str, JsonSchema]
    required: list[str] | None = None
    title: str | None = None
    description: str | None = None
    additionalProperties: bool | JsonSchema | None = None
    dialect: str | None = Field(default=None, alias="$schema")
