"""Endpoint groups and endpoints."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dify_plugins.tooling.validation.declarations.common import Extra, Path
from dify_plugins.tooling.validation.declarations.credentials import Setting
from dify_plugins.tooling.validation.schema import Declaration


class Endpoint(Declaration):
    """A route that Dify serves for the plugin."""

    path: Annotated[
        str,
        Field(
            pattern=r"^(/([a-zA-Z0-9_.-]+|<((string|int|float|path|uuid):)?[a-zA-Z_][a-zA-Z0-9_]*>))+$",
            description="a path that begins with /, e.g. /retrieval or /documents/<id>",
        ),
    ]
    method: Literal["HEAD", "GET", "POST", "PUT", "DELETE", "OPTIONS"]
    hidden: bool = False
    extra: Extra


class EndpointGroup(Declaration):
    """Endpoints that share settings."""

    settings: list[Setting] = Field(default_factory=list)
    endpoints: Annotated[list[Path], Field(min_length=1, description="a list of YAML files")]
