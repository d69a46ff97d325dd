"""Names, labels and sources, which every declaration has."""

# Keys are spelt as the files spell them.
# ruff: noqa: N815

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dify_plugins.tooling.validation.schema import Declaration

Text = Annotated[str, Field(min_length=1, max_length=1023, description="a text of 1 to 1023 characters")]
Path = Annotated[
    str,
    Field(pattern=r"^[a-zA-Z0-9_*][a-zA-Z0-9_*./-]*$", max_length=128, description="a path inside the plugin's folder"),
]
PythonFile = Annotated[
    str,
    Field(
        pattern=r"^[a-zA-Z0-9_][a-zA-Z0-9_./-]*\.py$",
        max_length=128,
        description="a Python file inside the plugin's folder, e.g. tools/search.py",
    ),
]
Author = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$", description="1 to 64 of the characters a-z, 0-9, _ and -")]
PluginName = Annotated[
    str, Field(pattern=r"^[a-z0-9_-]{1,128}$", description="1 to 128 of the characters a-z, 0-9, _ and -")
]
Name = Annotated[
    str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$", description="1 to 64 of the characters a-z, A-Z, 0-9, _ and -")
]
Version = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{1,4}(\.[0-9]{1,4}){2}(-(alpha|beta|rc|dev)[0-9]{0,9})?$",
        description="three numbers, e.g. 0.1.0 or 0.1.0-rc1",
    ),
]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+\S*$", description="an address that begins with https://")]
Tag = Literal[
    "search",
    "image",
    "videos",
    "weather",
    "finance",
    "design",
    "travel",
    "social",
    "news",
    "medical",
    "productivity",
    "education",
    "business",
    "entertainment",
    "utilities",
    "rag",
    "other",
]
"""The tags of a provider."""
Number = int | float
Default = str | int | float | bool


class Label(Declaration):
    """A text that people read, by language.

    Dify shows ``en_US`` where it has no text in a user's language. It knows the three after it; ``ko_KR``
    is passed over by the SDKs and the daemon of today, and wanted here for the day they know it.
    """

    en_US: Text
    zh_Hans: Text | None = None
    ja_JP: Text | None = None
    pt_BR: Text | None = None
    ko_KR: Text


class LocalizedUrl(Declaration):
    """An address by language."""

    en_US: Url
    zh_Hans: Url | None = None
    ja_JP: Url | None = None
    pt_BR: Url | None = None
    ko_KR: Url | None = None


class LocalizedIcon(Declaration):
    """A file in ``_assets`` by language."""

    en_US: Path
    zh_Hans: Path | None = None
    ja_JP: Path | None = None
    pt_BR: Path | None = None


class PythonSource(Declaration):
    """The Python file behind a declaration."""

    source: PythonFile


class Extra(Declaration):
    """Where the code is."""

    python: PythonSource


class Identity(Declaration):
    """Who a tool or strategy is."""

    author: Author
    name: Name
    label: Label


class ProviderIdentity(Declaration):
    """Who a provider of tools or strategies is."""

    author: Author
    name: Name
    label: Label
    description: Label
    icon: Path
    icon_dark: Path | None = None
    tags: list[Tag] = Field(default_factory=list)


class Option(Declaration):
    """One choice of a ``select``."""

    value: Annotated[str, Field(min_length=1, max_length=127, description="a text of 1 to 127 characters, quoted")]
    label: Label


class ParameterOption(Option):
    """One choice of a parameter."""

    icon: str | None = None


class AutoGenerate(Declaration):
    """Dify may write the value."""

    type: Literal["prompt_instruction"]


class Template(Declaration):
    """The value may be a Jinja template."""

    enabled: bool


class Parameter(Declaration):
    """What the parameters of tools and of strategies share."""

    name: Name
    label: Label
    required: bool = False
    scope: str | None = None
    default: Default | None = None
    min: Number | None = None
    max: Number | None = None
    precision: Annotated[int, Field(ge=0)] | None = None
    options: list[ParameterOption] | None = None
    auto_generate: AutoGenerate | None = None
    template: Template | None = None
