"""Settings: one model a stage, read from ``llmflow.yaml`` and ``LLMFLOW_...`` variables.

Environment variables win over the file; nesting is written with two underscores
(``LLMFLOW_LLM__BASE_URL``). Unknown keys are refused, in both. The descriptions below are
the configuration page of the documentation.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from llmflow.errors import ConfigurationError

CONFIG_FILE_VARIABLE = "LLMFLOW_CONFIG"
_PREFIX = "LLMFLOW_"

PiiAction = Literal["mask", "keep"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ParsingSettings(_Section):
    """Limits of one parse; each file is parsed in a process of its own."""

    timeout_s: float = Field(120.0, gt=0, description="Seconds one file may take.")
    memory_mb: int = Field(2048, ge=256, description="Address space one parse may use above the idle process, in MiB.")
    max_file_mb: int = Field(200, ge=1, description="Largest file accepted, in MiB.")
    max_unpacked_mb: int = Field(
        512, ge=1, description="Largest unpacked size of a zipped document (DOCX, HWPX, ...), in MiB."
    )
    max_pages: int = Field(5000, ge=1, description="Pages read of one document; more is an error.")
    ocr: Literal["auto", "off"] = Field(
        "auto", description="`auto` reads scans and pictures with tesseract where it is installed."
    )
    ocr_languages: str = Field("kor+eng", description="Tesseract languages, joined by `+`.")
    workers: int = Field(2, ge=1, description="Documents parsed side by side.")


class ChunkingSettings(_Section):
    """How elements become chunks."""

    max_tokens: int = Field(400, ge=50, description="Target size of a chunk in tokens (see llmflow.korean).")
    overlap_tokens: int = Field(
        50, ge=0, description="Whole sentences repeated at the start of the next chunk, in tokens."
    )


class PiiSettings(_Section):
    """Masking of personal data, before anything is stored and before an answer leaves."""

    enabled: bool = Field(True, description="Mask personal data.")
    threshold: float = Field(0.4, ge=0, le=1, description="Least score of a finding that is masked.")
    policy: dict[str, PiiAction] = Field(
        default_factory=dict,
        description="Action per entity type, e.g. `{PERSON: keep}`; entities not named are masked.",
    )


class DatabaseSettings(_Section):
    """Documents, jobs and statistics."""

    url: str | None = Field(None, description="SQLAlchemy URL; default: SQLite in `data_dir`.")


class ObjectSettings(_Section):
    """Original files."""

    root: Path | None = Field(None, description="Folder of the originals; default: `objects` in `data_dir`.")


class VectorSettings(_Section):
    """Chunks and their vectors."""

    uri: str | None = Field(None, description="Milvus URI; default: Milvus Lite in `data_dir`.")
    token: SecretStr | None = Field(None, description="Token of a Milvus server.")
    collection: str = Field("chunks", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Collection name.")


class EmbedderSettings(_Section):
    """The embedded dense leg: a static bi-encoder trained on the corpus itself."""

    enabled: bool = Field(True, description="Train and use the embedded dense leg.")
    min_chunks: int = Field(2000, ge=2, description="Corpora smaller than this go without a dense leg.")
    growth: float = Field(0.25, gt=0, description="Share of growth after which it is trained anew.")
    dimensions: int = Field(256, ge=8, description="Width of the vectors.")
    steps: int = Field(600, ge=1, description="Training steps at most.")
    epochs: float = Field(30.0, gt=0, description="Passes over the corpus at most: small corpora take fewer steps.")
    batch_size: int = Field(384, ge=2, description="Pairs in a step.")
    learning_rate: float = Field(0.005, gt=0, description="Peak step size of sparse Adam.")
    temperature: float = Field(0.1, gt=0, description="Temperature of InfoNCE.")
    seed: int = Field(13, description="Seed of sampling and initialisation.")


class RetrievalSettings(_Section):
    """From question to candidates."""

    top_k: int = Field(5, ge=1, le=1000, description="Candidates returned.")
    depth: int = Field(1000, ge=10, le=10000, description="Candidates taken from each leg.")
    k1: float = Field(1.5, ge=0, description="BM25 term saturation.")
    b: float = Field(0.8, ge=0, le=1, description="BM25 length normalisation.")
    title_weight: float = Field(2.0, ge=0, description="Times a word of the title counts.")
    path_weight: float = Field(0.5, ge=0, description="Times a word of the section path counts.")
    dense_weight: float = Field(0.2, ge=0, description="Weight of the dense leg beside the lexical legs' 1.")
    document_weight: float = Field(0.1, ge=0, description="Weight of the best other chunk of the same document.")
    threshold: float = Field(0.1, ge=0, le=1, description="Least score of a candidate; 0 lets everything pass.")


class LLMSettings(_Section):
    """Any OpenAI-compatible endpoint. Without one, answers are extractive."""

    base_url: str | None = Field(None, description="E.g. `http://localhost:8000/v1`.")
    api_key: SecretStr | None = Field(None, description="Key of the endpoint, if it wants one.")
    model: str = Field("llmflow-student", description="Model name the endpoint knows.")
    temperature: float = Field(0.2, ge=0, le=2, description="Sampling temperature.")
    max_tokens: int = Field(1024, ge=1, description="Longest answer, in tokens.")
    timeout_s: float = Field(60.0, gt=0, description="Seconds until the whole answer must be there.")
    retries: int = Field(1, ge=0, description="Further tries after a failed call.")


class GenerationSettings(_Section):
    """From passages to an answer."""

    context_tokens: int = Field(1500, ge=100, description="Passages put before the LLM, in tokens.")
    max_sentences: int = Field(4, ge=1, description="Sentences an extractive answer quotes at most.")
    support_threshold: float = Field(
        0.5, ge=0, le=1, description="Share of a sentence's words its cited passage must hold."
    )


class TracingSettings(_Section):
    """Langfuse observations. Without keys they stay in a local SQLite file."""

    enabled: bool = Field(True, description="Record traces.")
    path: Path | None = Field(None, description="SQLite file of the local traces; default: in `data_dir`.")
    keep_days: int = Field(30, ge=1, description="Days the local traces are kept.")
    public_key: str | None = Field(None, description="Langfuse public key.")
    secret_key: SecretStr | None = Field(None, description="Langfuse secret key.")
    base_url: str = Field("https://cloud.langfuse.com", description="Langfuse server.")


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, yaml_file_encoding="utf-8"
    )

    data_dir: Path = Field(Path(".llmflow"), description="Folder of everything LLMFlow stores.")
    tenant: str = Field("default", min_length=1, description="Tenant the command line acts for.")
    department: str = Field("shared", min_length=1, description="Department the command line acts for.")
    parsing: ParsingSettings = ParsingSettings()
    chunking: ChunkingSettings = ChunkingSettings()
    pii: PiiSettings = PiiSettings()
    database: DatabaseSettings = DatabaseSettings()
    objects: ObjectSettings = ObjectSettings()
    vectors: VectorSettings = VectorSettings()
    embedder: EmbedderSettings = EmbedderSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    llm: LLMSettings = LLMSettings()
    generation: GenerationSettings = GenerationSettings()
    tracing: TracingSettings = TracingSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls, config_file())

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the metadata database."""
        return self.database.url or f"sqlite:///{self.data_dir / 'llmflow.db'}"

    @property
    def objects_root(self) -> Path:
        """Folder of the original files."""
        return self.objects.root or self.data_dir / "objects"

    @property
    def vectors_uri(self) -> str:
        """URI for pymilvus."""
        return self.vectors.uri or str(self.data_dir / "milvus.db")

    @property
    def traces_path(self) -> Path:
        """SQLite file of the local traces."""
        return self.tracing.path or self.data_dir / "traces.db"

    @property
    def models_dir(self) -> Path:
        """Folder of the trained embedders."""
        return self.data_dir / "models"


def config_file() -> Path:
    """The YAML file settings are read from: ``$LLMFLOW_CONFIG``, else ``./llmflow.yaml``."""
    return Path(os.environ.get(CONFIG_FILE_VARIABLE, "llmflow.yaml"))


def load_settings(**overrides: Any) -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: an unknown key or a value outside what is allowed, in the file,
            the environment or ``overrides``.
    """
    if CONFIG_FILE_VARIABLE in os.environ and not config_file().is_file():
        raise ConfigurationError(
            f"{CONFIG_FILE_VARIABLE}={config_file()} names no file; create it or unset the variable",
            param=CONFIG_FILE_VARIABLE,
        )
    known = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields} | {CONFIG_FILE_VARIABLE}
    for variable in os.environ:
        if variable.startswith(_PREFIX) and variable.split("__")[0] not in known and variable not in EXTRA_VARIABLES:
            allowed = ", ".join(sorted(Settings.model_fields))
            raise ConfigurationError(
                f"environment variable {variable} is no setting; allowed after {_PREFIX}: {allowed}", param=variable
            )
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = (
            f"setting {key or '(top level)'}: {first['msg']} (got {first.get('input')!r}); see `llmflow config show`"
        )
        raise ConfigurationError(message, param=key) from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{config_file()} is not valid YAML: {error}", param=str(config_file())) from None


EXTRA_VARIABLES = frozenset({"LLMFLOW_EVAL_DATA"})
"""Variables of the tests and benchmarks that share the prefix."""
