"""Settings: one model a stage, read from ``llmflow.yaml`` and ``LLMFLOW_...`` variables.

Environment variables win over the file; nesting is written with two underscores
(``LLMFLOW_LLM__BASE_URL``). Unknown keys are refused, in both. The descriptions below are
the configuration page of the documentation.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
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


class S3Settings(_Section):
    """A bucket of any server that speaks the S3 API."""

    endpoint: str = Field(min_length=1, description="Host and port, e.g. `s3.example.com:9000`.")
    bucket: str = Field("llmflow", min_length=3, description="Bucket of the originals; made if absent.")
    access_key: str = Field(min_length=1, description="Access key.")
    secret_key: SecretStr = Field(description="Secret key.")
    secure: bool = Field(True, description="Use HTTPS.")
    region: str = Field("us-east-1", description="Region of the bucket.")


class ObjectSettings(_Section):
    """Original files."""

    root: Path | None = Field(None, description="Folder of the originals; default: `objects` in `data_dir`.")
    s3: S3Settings | None = Field(None, description="Keep them in an S3 bucket instead of a folder.")


class KeyValueSettings(_Section):
    """Cache, chat history, rate limits and the job queue: what may be lost without losing a document."""

    url: str | None = Field(None, description="`redis://HOST:PORT/DB`; default: SQLite in `data_dir`.")


class VectorSettings(_Section):
    """Chunks and their vectors."""

    uri: str | None = Field(None, description="Milvus URI; default: Milvus Lite in `data_dir`.")
    token: SecretStr | None = Field(None, description="Token of a Milvus server.")
    collection: str = Field("chunks", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Collection name.")


class CallSettings(_Section):
    """How a model's server is called."""

    timeout_s: float = Field(30.0, gt=0, description="Seconds until the whole reply must be there.")
    retries: int = Field(2, ge=0, description="Further tries after a failed call.")
    backoff_s: float = Field(0.5, ge=0, description="Pause before the first further try; it doubles each time.")
    breaker_failures: int = Field(5, ge=1, description="Failures within the window that open the circuit breaker.")
    breaker_window_s: float = Field(60.0, gt=0, description="Seconds in which failures are counted.")
    breaker_pause_s: float = Field(30.0, gt=0, description="Seconds an open breaker waits before it lets one call try.")


class TrainingSettings(_Section):
    """Training of the embedded embedder: a static bi-encoder, on the corpus itself."""

    min_chunks: int = Field(2000, ge=2, description="Corpora smaller than this go without a dense leg.")
    growth: float = Field(0.25, gt=0, description="Share of growth after which it is trained anew.")
    dimensions: int = Field(256, ge=8, description="Width of the vectors.")
    steps: int = Field(600, ge=1, description="Training steps at most.")
    epochs: float = Field(30.0, gt=0, description="Passes over the corpus at most: small corpora take fewer steps.")
    batch_size: int = Field(384, ge=2, description="Pairs in a step.")
    learning_rate: float = Field(0.005, gt=0, description="Peak step size of sparse Adam.")
    temperature: float = Field(0.1, gt=0, description="Temperature of InfoNCE.")
    seed: int = Field(13, description="Seed of sampling and initialisation.")


class EmbedderSettings(CallSettings):
    """What turns texts into vectors. A collection keeps to the one that wrote it; `llmflow reindex` changes it."""

    provider: Literal["static", "bge-m3", "tei", "none"] = Field(
        "static",
        description="`static`: trained on the corpus itself; `bge-m3`: FlagEmbedding in this process (extra `bge`);"
        " `tei`: Text Embeddings Inference over HTTP; `none`: no dense leg.",
    )
    model: str = Field("BAAI/bge-m3", description="Model of `bge-m3`: a name or a folder. For `tei`, what it serves.")
    base_url: str | None = Field(None, description="Address of the TEI server, e.g. `http://localhost:8081`.")
    api_key: SecretStr | None = Field(None, description="Key of the TEI server, if it wants one.")
    batch_size: int = Field(32, ge=1, description="Texts in one call.")
    max_tokens: int = Field(8192, ge=16, description="Longest text the model reads, in its tokens.")
    query_prefix: str = Field("", description="Put before a question, for models that want an instruction.")
    training: TrainingSettings = Field(TrainingSettings(), description="Of `static`: how it is trained.")


class CrossEncoderSettings(CallSettings):
    """A cross-encoder that scores question and passage together; off by default."""

    provider: Literal["none", "tei", "http", "flagembedding"] = Field(
        "none",
        description="`tei`: `/rerank` of Text Embeddings Inference; `http`: `/rerank` in the form of Jina and Cohere;"
        " `flagembedding`: in this process (extra `bge`).",
    )
    model: str = Field("BAAI/bge-reranker-v2-m3", description="Model: a name, or a folder for `flagembedding`.")
    base_url: str | None = Field(None, description="Address of the server; `/rerank` is added.")
    api_key: SecretStr | None = Field(None, description="Key of the server, if it wants one.")
    batch_size: int = Field(32, ge=1, description="Passages in one call.")
    max_tokens: int = Field(1024, ge=16, description="Longest question and passage together, in its tokens.")
    depth: int = Field(50, ge=2, le=1000, description="Candidates scored.")
    deadline_s: float = Field(2.0, gt=0, description="Seconds after which the order before it stands.")


class RerankerSettings(_Section):
    """The student LLM as reranker, at `llm.base_url`; off by default."""

    method: Literal["none", "listwise", "pointwise", "setwise", "permutation"] = Field(
        "none",
        description="`listwise`: one token for a window of passages (FIRST); `pointwise`: yes or no a passage;"
        " `setwise`: the best of small sets; `permutation`: a written order of a window (RankGPT).",
    )
    model: str | None = Field(None, description="Served model or LoRA adapter; default: `llm.model`.")
    depth: int = Field(20, ge=2, le=100, description="Candidates reranked.")
    deadline_s: float = Field(5.0, gt=0, description="Seconds after which the order before it stands.")
    passage_tokens: int = Field(
        160, ge=16, description="Each passage is cut to this many tokens around its best match."
    )
    margin: float = Field(
        0.2, ge=0, le=1, description="`listwise` asks again in reverse where the first two are closer than this."
    )
    set_size: int = Field(4, ge=3, le=20, description="Passages in a set of `setwise`.")
    head: int = Field(10, ge=1, le=100, description="Passages `setwise` puts in order; the others stay as they were.")
    window: int = Field(20, ge=2, le=20, description="Passages in a window of `listwise` and `permutation`.")
    step: int = Field(
        10, ge=1, le=19, description="Passages between two windows, where there are more; less than `window`."
    )
    concurrency: int = Field(8, ge=1, description="Requests of one question side by side.")
    slope: float = Field(1.0, gt=0, description="Calibration: the log-odds are multiplied by this ...")
    intercept: float = Field(0.0, description="... and this is added, before they become a score in 0 to 1.")
    cache_ttl_s: int = Field(
        3600, ge=0, description="Seconds scores are kept for the same question and passages; 0: never."
    )

    @model_validator(mode="after")
    def _windows_overlap(self) -> Self:
        if self.step >= self.window:
            raise ValueError(f"step is {self.step}; it must be less than window, which is {self.window}")
        return self


class GraphSettings(_Section):
    """Entities and relations found in documents."""

    enabled: bool = Field(True, description="Build the graph and search it.")
    uri: str | None = Field(
        None, description="`bolt://` or `neo4j://` address of Neo4j (extra `neo4j`); default: in `data_dir`."
    )
    user: str = Field("neo4j", description="User of Neo4j.")
    password: SecretStr | None = Field(None, description="Password of Neo4j.")
    database: str = Field("neo4j", description="Database of Neo4j.")
    extraction: Literal["auto", "rules", "llm"] = Field(
        "auto", description="`rules`; `llm`: by the LLM too; `auto`: so where `llm.base_url` is set."
    )
    extraction_timeout_s: float = Field(
        120.0, gt=0, description="Seconds the LLM may take for one document; rules find the rest."
    )


class MemorySettings(_Section):
    """Passages that were right for past questions are raised for similar ones."""

    enabled: bool = Field(True, description="Remember accepted passages and use them.")
    neighbours: int = Field(50, ge=1, description="Past questions looked at in each department.")
    similarity: float = Field(0.1, ge=0, le=1, description="Least similarity of a past question.")


class RetrievalSettings(_Section):
    """From question to candidates. `llmflow tune retrieval` finds the weights for your documents."""

    top_k: int = Field(5, ge=1, le=1000, description="Candidates returned.")
    depth: int = Field(1000, ge=10, le=10000, description="Candidates taken from each leg.")
    leg_timeout_s: float = Field(2.0, gt=0, description="Seconds after which a leg is left out.")
    k1: float = Field(1.5, ge=0, description="BM25 term saturation.")
    b: float = Field(0.8, ge=0, le=1, description="BM25 length normalisation.")
    title_weight: float = Field(2.0, ge=0, description="Times a word of the title counts.")
    path_weight: float = Field(0.5, ge=0, description="Times a word of the section path counts.")
    fusion: Literal["convex", "rrf", "minmax", "learned"] = Field(
        "convex",
        description="`convex`: weighted sum of scores over their theoretical maximum; `rrf`: reciprocal ranks;"
        " `minmax`: 0.3 keywords + 0.7 dense, each over its range; `learned`: the model of `llmflow tune --learn`.",
    )
    fusion_model: Path | None = Field(
        None, description="Folder of the learned fusion; `llmflow tune retrieval --learn` writes it."
    )
    dense_weight: float = Field(0.2, ge=0, description="Weight of the dense leg beside the lexical legs' 1.")
    sparse_weight: float = Field(0.2, ge=0, description="Weight of the learned sparse leg.")
    graph_weight: float = Field(0.12, ge=0, description="Weight of what the question names, in the graph.")
    spread_weight: float = Field(0.2, ge=0, description="Weight of what the best candidates lead to, in the graph.")
    memory_weight: float = Field(0.5, ge=0, description="Weight of the query memory.")
    document_weight: float = Field(0.1, ge=0, description="Weight of the best other chunk of the same document.")
    rrf_k: int = Field(60, ge=1, description="Constant of reciprocal rank fusion.")
    near_duplicates: float = Field(
        0.9,
        ge=0.5,
        le=1,
        description="Share of common word runs from which a passage is a duplicate; 1: equal letters.",
    )
    diversity: float = Field(
        0.0, ge=0, le=1, description="MMR: weight of difference against relevance; 0 turns it off."
    )
    threshold: float = Field(0.1, ge=0, le=1, description="Least score of a candidate; 0 lets everything pass.")


class LLMSettings(CallSettings):
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


class CacheSettings(_Section):
    """Answers given before, found again by the meaning of the question."""

    enabled: bool = Field(True, description="Answer repeated questions from the cache.")
    threshold: float = Field(0.95, ge=0, le=1, description="Least similarity of two questions with one answer.")
    ttl_s: int = Field(3600, ge=1, description="Seconds an answer is kept.")
    max_entries: int = Field(2000, ge=1, description="Answers kept for each scope.")


class ChatSettings(_Section):
    """Chat sessions."""

    ttl_s: int = Field(86_400, ge=1, description="Seconds a session is kept after its last message.")
    max_messages: int = Field(100, ge=2, description="Messages kept of a session.")
    window_tokens: int = Field(32_768, ge=2048, description="Context window of the model, in tokens.")
    system_tokens: int = Field(500, ge=50, description="Share of the window for the system prompt and summary.")
    answer_tokens: int = Field(4000, ge=50, description="Share of the window for the answer.")


class ServerSettings(_Section):
    """The HTTP API."""

    host: str = Field("127.0.0.1", description="Address to listen on; `0.0.0.0` for every one.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    threads: int = Field(4, ge=1, description="Questions worked on side by side.")
    concurrency: int = Field(128, ge=1, description="Requests in progress; further ones are told to come back.")
    timeout_s: float = Field(120.0, gt=0, description="Seconds a request may take until its answer begins.")
    body_kb: int = Field(1024, ge=1, description="Largest JSON body, in KiB.")
    upload_mb: int = Field(512, ge=1, description="Largest upload of files in one request, in MiB.")
    drain_s: float = Field(30.0, ge=0, description="Seconds that requests and jobs get to end when the server stops.")
    metrics_token: SecretStr | None = Field(
        None, description="Bearer token of `/metrics`; without one only this machine may read it."
    )


class AuthSettings(_Section):
    """Who may call the API: keys (`llmflow keys create`) and, with an issuer, JWTs."""

    issuer: str | None = Field(None, description="OIDC issuer, e.g. `https://sso.example.com/realms/company`.")
    audience: str = Field("llmflow", min_length=1, description="Audience a JWT must name.")
    jwks_url: str | None = Field(None, description="Keys of the issuer; default: from its OIDC discovery document.")
    leeway_s: int = Field(60, ge=0, le=600, description="Clock skew tolerated in a JWT's times, in seconds.")
    tenant_claim: str = Field("tenant", description="Claim that names the tenant.")
    departments_claim: str = Field("departments", description="Claim that lists the departments.")
    role_claim: str = Field("role", description="Claim that names the role.")
    requests_per_minute: int = Field(600, ge=1, description="Requests a key may make in a minute, on average.")
    burst: int = Field(120, ge=1, description="Requests a key may make at once.")


class JobSettings(_Section):
    """Ingestion jobs."""

    in_server: bool = Field(True, description="Run jobs in the server; otherwise only `llmflow worker` runs them.")
    lease_s: int = Field(60, ge=3, description="Seconds without a sign of life after which a job is taken over.")
    attempts: int = Field(3, ge=1, description="Times a job is begun; what kills its process as often has failed.")


class FetchSettings(_Section):
    """Documents and webhooks by URL."""

    timeout_s: float = Field(30.0, gt=0, description="Seconds a download may take.")
    private_hosts: tuple[str, ...] = Field(
        (), description="Hosts at private addresses that may be called, as `HOST` or `HOST:PORT`."
    )
    webhook_attempts: int = Field(8, ge=1, description="Times a webhook is tried, with growing pauses.")


class CollectionSettings(_Section):
    """Documents collected on a schedule: exactly one of folder, s3_prefix and urls."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="Name, unique among the collections.")
    cron: str = Field(description="When, in cron syntax (minute hour day month weekday), e.g. `0 3 * * *`.")
    tenant: str = Field(min_length=1, description="Tenant the documents belong to.")
    department: str = Field(min_length=1, description="Department the documents belong to.")
    folder: Path | None = Field(None, description="A folder, read with all below it.")
    s3_prefix: str | None = Field(None, description="`BUCKET/PREFIX` on the server of `objects.s3`.")
    urls: tuple[str, ...] = Field((), description="Addresses of documents.")


class LoggingSettings(_Section):
    """What the server and the workers write to standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level written.")
    format: Literal["json", "text"] = Field("json", description="One JSON object a line, or text to read.")


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
    graph: GraphSettings = GraphSettings()
    memory: MemorySettings = MemorySettings()
    cross_encoder: CrossEncoderSettings = CrossEncoderSettings()
    reranker: RerankerSettings = RerankerSettings()
    llm: LLMSettings = LLMSettings()
    generation: GenerationSettings = GenerationSettings()
    tracing: TracingSettings = TracingSettings()
    keyvalue: KeyValueSettings = KeyValueSettings()
    cache: CacheSettings = CacheSettings()
    chat: ChatSettings = ChatSettings()
    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    jobs: JobSettings = JobSettings()
    fetch: FetchSettings = FetchSettings()
    collections: tuple[CollectionSettings, ...] = Field((), description="Documents collected on a schedule.")
    logging: LoggingSettings = LoggingSettings()

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
    def keyvalue_url(self) -> str:
        """URL of the key-value store: ``sqlite:///PATH`` or ``redis://...``."""
        return self.keyvalue.url or f"sqlite:///{self.data_dir / 'keyvalue.db'}"

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
