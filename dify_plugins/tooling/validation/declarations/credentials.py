"""What a user fills in once: credentials of tools, settings of endpoints."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dify_plugins.tooling.validation.declarations.common import Default, Label, Name, Option, Url
from dify_plugins.tooling.validation.schema import Declaration

CredentialType = Literal[
    "secret-input", "text-input", "select", "boolean", "app-selector", "model-selector", "array[tools]"
]
Options = Annotated[list[Option], Field(min_length=1, max_length=127, description="1 to 127 options")]


class Credential(Declaration):
    """One field of the form."""

    type: Annotated[CredentialType, Field(description="write a number as text-input")]
    label: Label
    required: bool = False
    scope: str | None = None
    default: Default | None = None
    options: Options | None = None
    multiple: bool = False
    help: Label | None = None
    url: Url | None = None
    placeholder: Label | None = None


class Setting(Credential):
    """One field of the form of an endpoint group."""

    name: Name
