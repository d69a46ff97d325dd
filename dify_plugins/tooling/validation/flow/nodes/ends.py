"""Where a flow begins and ends, and notes beside it."""

# Keys are spelt as Dify's editor spells them.
# ruff: noqa: N815

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from dify_plugins.tooling.validation.flow.app import Number
from dify_plugins.tooling.validation.flow.nodes.base import NodeData, Variable
from dify_plugins.tooling.validation.flow.part import Part


class Note(Part):
    """A text beside the graph."""

    text: str
    type: Literal[""] = ""
    title: str | None = None
    desc: str | None = None
    author: str | None = None
    showAuthor: bool | None = None
    theme: str | None = None
    height: Number | None = None
    width: Number | None = None
    selected: bool | None = None


class InputVariable(Part):
    """A field that users fill in."""

    variable: Annotated[
        str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,29}$", description="a name of up to 30 characters")
    ]
    label: str
    type: Literal["text-input", "paragraph", "select", "number", "checkbox", "file", "file-list", "json_object"]
    required: bool = False
    hide: bool | None = None
    description: str | None = None
    placeholder: str | None = None
    hint: str | None = None
    unit: str | None = None
    default: Any = None
    max_length: int | None = None
    options: list[str] | None = None
    allowed_file_types: list[Literal["image", "document", "audio", "video", "custom"]] | None = None
    allowed_file_extensions: list[str] | None = None
    allowed_file_upload_methods: list[Literal["local_file", "remote_url"]] | None = None
    json_schema: str | dict[str, Any] | None = None


class Start(NodeData):
    """Where a run begins."""

    variables: list[InputVariable] = Field(default_factory=list)


class End(NodeData):
    """What a workflow gives."""

    outputs: list[Variable]


class Answer(NodeData):
    """What a chat says."""

    answer: Annotated[str, Field(min_length=1)]
    variables: list[Variable] | None = None
