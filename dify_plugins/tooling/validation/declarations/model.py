"""Model providers and the models they know beforehand."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dify_plugins.tooling.validation.declarations.common import (
    Default,
    Label,
    LocalizedIcon,
    LocalizedUrl,
    Name,
    Number,
    Option,
    Path,
    PythonFile,
    Text,
    Url,
)
from dify_plugins.tooling.validation.schema import Declaration

ModelType = Literal["llm", "text-embedding", "rerank", "speech2text", "moderation", "tts"]
Method = Literal["predefined-model", "customizable-model"]
Feature = Literal[
    "tool-call",
    "multi-tool-call",
    "agent-thought",
    "vision",
    "stream-tool-call",
    "document",
    "video",
    "audio",
    "structured-output",
]
Price = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?$", description="a decimal number, quoted")]


class ShowOn(Declaration):
    """A field is shown only while another has a value."""

    variable: str
    value: str


class FormOption(Option):
    """One choice of a ``select`` or ``radio``."""

    show_on: list[ShowOn] = Field(default_factory=list)


class FormField(Declaration):
    """One field of a form of credentials."""

    variable: Name
    label: Label
    type: Literal["text-input", "secret-input", "select", "radio", "switch"]
    required: Annotated[
        bool, Field(description="true or false; the SDK and the daemon take it differently if left out")
    ]
    default: Annotated[str, Field(max_length=255, description="a text, quoted")] | None = None
    options: list[FormOption] | None = None
    placeholder: Label | None = None
    help: Label | None = None
    url: Url | None = None
    max_length: Annotated[int, Field(ge=0)] = 0
    show_on: list[ShowOn] = Field(default_factory=list)


class ProviderForm(Declaration):
    """What is asked once for the provider."""

    credential_form_schemas: Annotated[list[FormField], Field(max_length=32)]


class ModelName(Declaration):
    """How the field for the name of a model is called."""

    label: Label
    placeholder: Label | None = None


class ModelForm(Declaration):
    """What is asked for each model a user adds."""

    model: ModelName
    credential_form_schemas: Annotated[list[FormField], Field(max_length=32)]


class Help(Declaration):
    """Where a user finds what to fill in."""

    title: Label
    url: LocalizedUrl


class Predefined(Declaration):
    """Where the models of one type are declared."""

    predefined: Annotated[list[Path], Field(min_length=1, description="patterns of YAML files, e.g. models/llm/*.yaml")]
    position: Path | None = None


class PredefinedModels(Declaration):
    """The models known beforehand, by type."""

    llm: Predefined | None = None
    text_embedding: Predefined | None = None
    rerank: Predefined | None = None
    speech2text: Predefined | None = None
    moderation: Predefined | None = None
    tts: Predefined | None = None


class ModelSources(Declaration):
    """The Python files of a model provider."""

    provider_source: PythonFile
    model_sources: Annotated[list[PythonFile], Field(min_length=1, description="a list of Python files")]


class ModelExtra(Declaration):
    """Where the code is."""

    python: ModelSources


class ModelProvider(Declaration):
    """Models that share credentials."""

    provider: Name
    label: Label
    description: Label
    icon_small: LocalizedIcon
    icon_large: LocalizedIcon | None = None
    icon_small_dark: LocalizedIcon | None = None
    icon_large_dark: LocalizedIcon | None = None
    background: Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$", description="a color, e.g. '#EBF5FF'")] | None = None
    help: Help | None = None
    supported_model_types: Annotated[list[ModelType], Field(min_length=1)]
    configurate_methods: Annotated[list[Method], Field(min_length=1)]
    provider_credential_schema: ProviderForm | None = None
    model_credential_schema: ModelForm | None = None
    models: PredefinedModels | None = None
    extra: ModelExtra


class ParameterRule(Declaration):
    """A parameter users set for a model."""

    name: Name
    use_template: (
        Literal[
            "temperature",
            "top_p",
            "top_k",
            "presence_penalty",
            "frequency_penalty",
            "max_tokens",
            "response_format",
            "json_schema",
        ]
        | None
    ) = None
    label: Label | None = None
    type: Literal["float", "int", "string", "boolean", "text"] | None = None
    help: Label | None = None
    required: bool = False
    default: Default | None = None
    min: Number | None = None
    max: Number | None = None
    precision: Annotated[int, Field(ge=0)] | None = None
    options: list[str] = Field(default_factory=list)


class Properties(Declaration):
    """What a model can take and give."""

    mode: Literal["chat", "completion"] | None = None
    context_size: Annotated[int, Field(gt=0)] | None = None
    max_chunks: Annotated[int, Field(gt=0)] | None = None
    file_upload_limit: Annotated[int, Field(gt=0)] | None = None
    supported_file_extensions: str | None = None
    max_characters_per_chunk: Annotated[int, Field(gt=0)] | None = None
    default_voice: str | None = None
    voices: list[dict[str, str | list[str]]] | None = None
    word_limit: Annotated[int, Field(gt=0)] | None = None
    audio_type: str | None = None
    max_workers: Annotated[int, Field(gt=0)] | None = None


class Pricing(Declaration):
    """What a model costs."""

    input: Price
    output: Price | None = None
    unit: Price
    currency: Text


class Model(Declaration):
    """A model known beforehand."""

    model: Text
    label: Label
    model_type: ModelType
    features: list[Feature] = Field(default_factory=list)
    fetch_from: Method = "predefined-model"
    model_properties: Properties
    deprecated: bool = False
    parameter_rules: list[ParameterRule] = Field(default_factory=list)
    pricing: Pricing | None = None
