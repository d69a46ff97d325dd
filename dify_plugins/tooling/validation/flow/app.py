"""The file as a whole: app, dependencies, variables, features, graph."""

# Keys are spelt as Dify's editor spells them.
# ruff: noqa: N815

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from dify_plugins.tooling.validation.flow.part import Part

Number = int | float
Selector = list[str]


class AppInfo(Part):
    """What the list of apps shows."""

    name: Annotated[str, Field(min_length=1)]
    mode: Literal["workflow", "advanced-chat"]
    description: str = ""
    icon: str = "🤖"
    icon_type: Literal["emoji", "image", "link"] = "emoji"
    icon_background: (
        Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$", description="a color, e.g. '#FFEAD5'")] | None
    ) = None
    use_icon_as_answer_icon: bool = False


class DependencyValue(Part):
    """Where a plugin comes from; which keys depends on the type."""

    plugin_unique_identifier: str | None = None
    marketplace_plugin_unique_identifier: str | None = None
    github_plugin_unique_identifier: str | None = None
    version: str | None = None
    repo: str | None = None
    package: str | None = None


class Dependency(Part):
    """A plugin that the app needs."""

    type: Literal["package", "marketplace", "github"]
    value: DependencyValue
    current_identifier: str | None = None


VariableName = Annotated[
    str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", description="letters, digits and _, no digit first")
]


class EnvironmentVariable(Part):
    """A value that an administrator sets for the app."""

    name: VariableName
    value_type: Literal["string", "number", "secret"]
    value: str | Number
    id: str | None = None
    description: str | None = None
    selector: Selector | None = None


class ConversationVariable(Part):
    """A value that a conversation keeps."""

    name: VariableName
    value_type: Literal[
        "string",
        "number",
        "boolean",
        "object",
        "array[string]",
        "array[number]",
        "array[boolean]",
        "array[object]",
    ]
    value: Any
    id: str | None = None
    description: str | None = None
    selector: Selector | None = None


class Switch(Part):
    """A feature that is on or off."""

    enabled: bool


class Speech(Switch):
    """Answers read aloud."""

    language: str | None = None
    voice: str | None = None
    autoPlay: Literal["enabled", "disabled"] | None = None


class ImageUpload(Switch):
    """Images beside a message, as older versions save it."""

    number_limits: int | None = None
    transfer_methods: list[Literal["local_file", "remote_url"]] | None = None
    detail: Literal["low", "high"] | None = None


class UploadLimits(Part):
    """Limits of an installation, as the editor saves them."""

    audio_file_size_limit: int | None = None
    batch_count_limit: int | None = None
    file_size_limit: int | None = None
    image_file_size_limit: int | None = None
    video_file_size_limit: int | None = None
    workflow_file_upload_limit: int | None = None
    file_upload_limit: int | None = None
    image_file_batch_limit: int | None = None
    single_chunk_attachment_limit: int | None = None
    attachment_image_file_size_limit: int | None = None


class FileUpload(Part):
    """Files beside a message."""

    enabled: bool = False
    image: ImageUpload | None = None
    allowed_file_types: list[Literal["image", "document", "audio", "video", "custom"]] | None = None
    allowed_file_extensions: list[str] | None = None
    allowed_file_upload_methods: list[Literal["local_file", "remote_url"]] | None = None
    number_limits: Annotated[int, Field(ge=1)] | None = None
    fileUploadConfig: UploadLimits | None = None


class Features(Part):
    """What a chat offers beside the graph."""

    file_upload: FileUpload | None = None
    opening_statement: str | None = None
    retriever_resource: Switch | None = None
    sensitive_word_avoidance: Switch | None = None
    speech_to_text: Switch | None = None
    suggested_questions: list[str] | None = None
    suggested_questions_after_answer: Switch | None = None
    text_to_speech: Speech | None = None


class Position(Part):
    """Where a node stands in the editor."""

    x: Number
    y: Number


class Viewport(Position):
    """What the editor shows first."""

    zoom: Number


class Node(Part):
    """A node; what it does is in its data."""

    id: Annotated[
        str,
        Field(pattern=r"^[a-zA-Z0-9_]{1,50}$", description="1 to 50 of a-z, A-Z, 0-9 and _, as templates can name it"),
    ]
    data: dict[str, Any]
    type: Literal["custom", "custom-note", "custom-iteration-start"] = "custom"
    position: Position
    positionAbsolute: Position | None = None
    parentId: str | None = None
    height: Number | None = None
    width: Number | None = None
    zIndex: int | None = None
    selected: bool | None = None
    selectable: bool | None = None
    draggable: bool | None = None
    dragging: bool | None = None
    extent: str | None = None
    sourcePosition: str | None = None
    targetPosition: str | None = None


class EdgeData(Part):
    """What an edge connects."""

    sourceType: str | None = None
    targetType: str | None = None
    isInIteration: bool | None = None
    isInLoop: bool | None = None
    iteration_id: str | None = None
    loop_id: str | None = None


class Edge(Part):
    """What comes after what."""

    id: Annotated[str, Field(min_length=1)]
    source: str
    target: str
    sourceHandle: str
    targetHandle: Literal["target"]
    type: Literal["custom"] = "custom"
    data: EdgeData | None = None
    selected: bool | None = None
    zIndex: int | None = None


class Graph(Part):
    """Nodes and edges."""

    nodes: Annotated[list[Node], Field(min_length=1)]
    edges: list[Edge]
    viewport: Viewport | None = None


class Workflow(Part):
    """What the app does."""

    graph: Graph
    features: Features
    environment_variables: list[EnvironmentVariable] = Field(default_factory=list)
    conversation_variables: list[ConversationVariable] = Field(default_factory=list)
    rag_pipeline_variables: Annotated[list[Any], Field(max_length=0)] | None = None


class App(Part):
    """The file."""

    version: Annotated[Literal["0.6.0"], Field(description="the version of the DSL, quoted")]
    kind: Literal["app"]
    app: AppInfo
    dependencies: list[Dependency] = Field(default_factory=list)
    workflow: Workflow
