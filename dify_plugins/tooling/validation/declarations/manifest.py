"""``manifest.yaml``."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from dify_plugins.tooling.validation.declarations.common import Author, Label, Path, PluginName, Tag, Url, Version
from dify_plugins.tooling.validation.schema import Declaration

Files = Annotated[list[Path], Field(min_length=1, description="a list of YAML files")]


class Permission(Declaration):
    """Whether a plugin may use a part of Dify."""

    enabled: bool


class ModelPermission(Permission):
    """Which kinds of models a plugin may call."""

    llm: bool = False
    text_embedding: bool = False
    rerank: bool = False
    tts: bool = False
    speech2text: bool = False
    moderation: bool = False


class StoragePermission(Permission):
    """Whether a plugin may keep data in Dify, and how much."""

    size: Annotated[int, Field(ge=1024, le=1 << 30, description="bytes, 1024 to 1073741824")]


class Permissions(Declaration):
    """What a plugin asks the administrator for."""

    tool: Permission | None = None
    model: ModelPermission | None = None
    node: Permission | None = None
    endpoint: Permission | None = None
    app: Permission | None = None
    storage: StoragePermission | None = None


class Resource(Declaration):
    """What a plugin needs to run."""

    memory: Annotated[int, Field(ge=1 << 20, description="bytes, e.g. 268435456")]
    permission: Permissions | None = None


class Extensions(Declaration):
    """The YAML files of what a plugin brings, by kind."""

    tools: Files | None = None
    models: Files | None = None
    endpoints: Files | None = None
    agent_strategies: Files | None = None


class Runner(Declaration):
    """How a plugin is started."""

    language: Literal["python"]
    version: Annotated[Literal["3.12"], Field(description="the one Python that Dify has, quoted")]
    entrypoint: Annotated[
        str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,255}$", description="a module without .py, e.g. main")
    ]


class Meta(Declaration):
    """The form of the package."""

    version: Version
    arch: Annotated[list[Literal["amd64", "arm64"]], Field(min_length=1, description="a list of amd64 and arm64")]
    runner: Runner
    minimum_dify_version: Version | None = None


class Manifest(Declaration):
    """A plugin as a whole."""

    version: Version
    type: Literal["plugin"]
    author: Author
    name: PluginName
    label: Label
    description: Label
    icon: Path
    icon_dark: Path | None = None
    resource: Resource
    plugins: Extensions
    meta: Meta
    tags: list[Literal[Tag, "agent", "trigger"]] = Field(default_factory=list)
    created_at: Annotated[datetime | date | str, Field(description="a time with its zone, e.g. 2026-11-21T00:00:00Z")]
    privacy: Annotated[str, Field(min_length=1, description="PRIVACY.md or an address")]
    repo: Url | None = None
