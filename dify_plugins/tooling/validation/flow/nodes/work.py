"""Nodes that compute or ask a server."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dify_plugins.tooling.validation.flow.app import Selector
from dify_plugins.tooling.validation.flow.nodes.base import NodeData, Variable
from dify_plugins.tooling.validation.flow.part import Part


class CodeOutput(Part):
    """One value a code node gives."""

    type: Literal[
        "string",
        "number",
        "boolean",
        "object",
        "array[string]",
        "array[number]",
        "array[boolean]",
        "array[object]",
    ]
    children: dict[str, CodeOutput] | None = None


class CodeDependency(Part):
    """A library of a code node."""

    name: str
    version: str


class Code(NodeData):
    """Code runs in Dify's sandbox."""

    code_language: Literal["python3", "javascript"]
    code: Annotated[str, Field(min_length=1)]
    variables: list[Variable]
    outputs: Annotated[dict[str, CodeOutput], Field(min_length=1)]
    dependencies: list[CodeDependency] | None = None


class Template(NodeData):
    """A Jinja template."""

    template: str
    variables: list[Variable]


class AuthorizationConfig(Part):
    """How a key is sent."""

    type: Literal["basic", "bearer", "custom"]
    api_key: str
    header: str | None = None


class Authorization(Part):
    """Whether a key is sent."""

    type: Literal["no-auth", "api-key"]
    config: AuthorizationConfig | None = None


class BodyPart(Part):
    """One value of a request."""

    type: Literal["text", "file"]
    value: str = ""
    key: str = ""
    file: Selector | None = None
    id: str | None = None


class Body(Part):
    """What a request sends."""

    type: Literal["none", "form-data", "x-www-form-urlencoded", "raw-text", "json", "binary"]
    data: list[BodyPart] | str | None = None


class Timeout(Part):
    """Seconds."""

    connect: int | None = None
    read: int | None = None
    write: int | None = None
    max_connect_timeout: int | None = None
    max_read_timeout: int | None = None
    max_write_timeout: int | None = None


class HttpRequest(NodeData):
    """A server is asked."""

    method: Literal[
        "get", "post", "put", "patch", "delete", "head", "options",
        "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS",
    ]  # fmt: skip
    url: Annotated[str, Field(min_length=1)]
    authorization: Authorization
    headers: str
    params: str
    body: Body | None = None
    timeout: Timeout | None = None
    ssl_verify: bool | None = None
    variables: list[Variable] | None = None
