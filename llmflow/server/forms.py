"""What requests look like, and responses that are not a noun already."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from llmflow.generation.answer import Finished
from llmflow.schema import Answer, Feedback, MetadataValue, PiiEntity, RerankMode, Role
from llmflow.stores.memory import Memory
from llmflow.tracing import TraceSummary

MAX_TEXT = 100_000
"""Characters of a text to mask."""

Departments = Annotated[
    list[str] | None,
    Field(
        min_length=1,
        description="Departments to look in; default: all the credential may read. Others are refused.",
        examples=[["인사"]],
    ),
]
TopK = Annotated[int | None, Field(ge=1, le=1000, description="Passages at most; default from the settings.")]
Question = Annotated[str, Field(min_length=1, max_length=8000, examples=["연차휴가는 며칠까지 이월되나요?"])]


def with_example(body: dict[str, Any]) -> ConfigDict:
    """The configuration of a model with an example."""
    return ConfigDict(json_schema_extra={"examples": [body]})


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Condition(BaseModel):
    """One condition on a document's field or on a key of its metadata."""

    name: str | list[str] = Field(
        description="`name`, `title`, `department`, `mime_type`, `size_bytes`, `dataset_id`, `created_by`, "
        "`created_at`, `updated_at`, `document_id`, or a key of the document's metadata; of a list any may fit.",
        examples=["department"],
    )
    comparison_operator: str = Field(
        description="contains, not contains, start with, end with, is, is not, in, not in, empty, not empty, "
        "=, ≠, >, <, ≥, ≤, before, after.",
        examples=["is"],
    )
    value: MetadataValue | list[MetadataValue] = Field(None, description="What to compare with.", examples=["인사"])


class MetadataCondition(BaseModel):
    """Conditions on documents, as in Dify's External Knowledge API."""

    logical_operator: Literal["and", "or"] = "and"
    conditions: list[Condition] = Field(max_length=100)


class RetrieveRequest(_Request):
    """A search for passages."""

    model_config = with_example(
        {
            "query": "연차휴가는 며칠까지 이월되나요?",
            "top_k": 5,
            "filter": {
                "logical_operator": "and",
                "conditions": [{"name": "department", "comparison_operator": "is", "value": "인사"}],
            },
        }
    )

    query: Question
    top_k: TopK = Field(None, examples=[5])
    threshold: float | None = Field(
        None, ge=0, le=1, description="Least score; 0 lets all pass; default from the settings.", examples=[0.1]
    )
    departments: Departments = None
    filter: MetadataCondition | None = Field(None, description="Which documents to look in.")
    rerank: RerankMode | None = Field(
        None, description="The only model to rerank with; default: all that are configured.", examples=["none"]
    )
    explain: bool = Field(False, description="Say of each passage in words why it is here, in its `notes`.")


class AnswerRequest(_Request):
    """A question to be answered from the documents."""

    model_config = with_example({"question": "연차휴가는 며칠까지 이월되나요?"})

    question: Question
    top_k: TopK = Field(None, examples=[5])
    stream: bool = Field(False, description="Send the answer as events while it is made.")
    departments: Departments = None
    cache: bool = Field(True, description="Take an answer given before to the same question, if there is one.")


@dataclass(frozen=True, slots=True)
class AnswerResponse(Answer):
    """An answer with its evidence. ``cached`` says that it was given before to a question that means the same."""

    cached: bool = False

    @classmethod
    def of(cls, finished: Finished) -> AnswerResponse:
        """An answer as the API gives it."""
        values = {field.name: getattr(finished.answer, field.name) for field in fields(Answer)}
        return cls(**values, cached=finished.cache == "hit")


class GraphSearchRequest(_Request):
    """A search around an entity of the graph."""

    model_config = with_example({"entity": "재택근무 규정", "hops": 2})

    entity: str = Field(min_length=1, max_length=500, examples=["재택근무 규정"])
    hops: Literal[1, 2] = Field(1, description="Relations from the entity to what is listed.", examples=[2])
    limit: int = Field(20, ge=1, le=100, description="Rows of each kind at most.", examples=[20])
    departments: Departments = None


@dataclass(frozen=True, slots=True)
class ChunkAbout:
    """A passage that is about the entity; ``role`` says how."""

    chunk_id: str
    document_id: str
    document_name: str
    role: str


@dataclass(frozen=True, slots=True)
class ChunkMentioning:
    """A passage that names the entity."""

    chunk_id: str
    document_id: str
    document_name: str
    confidence: float


@dataclass(frozen=True, slots=True)
class GraphRelation:
    """A relation between two entities, as a passage states it; ``hop`` counts from the entity searched for."""

    hop: int
    subject: str
    relation: str
    object: str
    weight: float
    chunk_id: str


@dataclass(frozen=True, slots=True)
class GraphSearchResponse:
    """What the documents say of an entity."""

    name: str
    types: tuple[str, ...]
    about: tuple[ChunkAbout, ...]
    mentioned: tuple[ChunkMentioning, ...]
    relations: tuple[GraphRelation, ...]


class TokenizeRequest(_Request):
    """A prompt whose tokens are to be counted: `messages`, or `prompt`."""

    model_config = with_example(
        {"model": "llmflow", "messages": [{"role": "user", "content": "연차휴가는 며칠까지 이월되나요?"}]}
    )

    model: str = Field(description="`llmflow`, or another that `GET /v1/models` lists.", examples=["llmflow"])
    messages: list[dict[str, Any]] | None = Field(None, min_length=1, description="A chat, in OpenAI's form.")
    prompt: str | None = Field(None, description="A text.", examples=["연차휴가"])
    tools: list[dict[str, Any]] | None = Field(None, description="Tools the chat may use, in OpenAI's form.")


@dataclass(frozen=True, slots=True)
class TokenizeResponse:
    """Tokens of the prompt; ``exact`` where the model's own tokenizer counted them, else an estimate."""

    model: str
    count: int
    max_model_len: int | None
    exact: bool


class MaskRequest(_Request):
    """A text to mask."""

    model_config = with_example({"text": "담당자 김민준, 010-2345-6789"})

    text: str = Field(max_length=MAX_TEXT, examples=["담당자 김민준, 010-2345-6789"])


@dataclass(frozen=True, slots=True)
class MaskResponse:
    """The masked text; ``entities`` are spans of the text that was sent."""

    text: str
    entities: tuple[PiiEntity, ...]


class FeedbackRequest(_Request):
    """A thumb up or down for an answer."""

    model_config = with_example(
        {"trace_id": "0af7651916cd43dd8448eb211c80319c", "value": 1, "comment": "정확한 답이에요."}
    )

    trace_id: str = Field(
        pattern="^[0-9a-f]{32}$",
        description="The answer's `trace_id`.",
        examples=["0af7651916cd43dd8448eb211c80319c"],
    )
    value: Literal[1, -1] = Field(description="1 for up, -1 for down.", examples=[1])
    sources: list[Annotated[str, Field(pattern="^[0-9a-f]{32}$")]] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="Chunk ids of the passages that were right; default: those the answer cites.",
        examples=[["5d41402abc4b2a76b9719d911017c592"]],
    )
    comment: str | None = Field(None, max_length=2000, examples=["정확한 답이에요."])


@dataclass(frozen=True, slots=True)
class FeedbackResponse(Feedback):
    """Feedback as it was kept; ``remembered`` counts the passages that similar questions will find sooner."""

    remembered: int = 0

    @classmethod
    def of(cls, kept: Feedback, remembered: int) -> FeedbackResponse:
        """Feedback as the API gives it."""
        return cls(**{field.name: getattr(kept, field.name) for field in fields(Feedback)}, remembered=remembered)


@dataclass(frozen=True, slots=True)
class MemoryList:
    """A page of remembered passages; ``total`` counts all pages."""

    memories: tuple[Memory, ...]
    total: int


@dataclass(frozen=True, slots=True)
class FeedbackList:
    """A page of feedback; ``total`` counts all pages."""

    feedback: tuple[Feedback, ...]
    total: int


@dataclass(frozen=True, slots=True)
class TraceList:
    """Traces, newest first."""

    traces: tuple[TraceSummary, ...]


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether requests can be served, and each component: ``ok`` or ``failed``."""

    ready: bool
    components: dict[str, Literal["ok", "failed"]]


@dataclass(frozen=True, slots=True)
class Me:
    """Who the credential says is calling."""

    subject: str
    tenant: str
    departments: tuple[str, ...]
    role: Role


class ErrorBody(BaseModel):
    """What went wrong: ``code`` is stable, ``message`` says what is allowed and what to do."""

    code: str = Field(examples=["not_found"])
    message: str = Field(examples=["no document with the id 'ffff'"])
    type: str = Field(examples=["NotFoundError"])
    param: str | None = Field(None, description="The argument at fault.", examples=["document_id"])
    details: dict[str, Any] = Field(default_factory=dict, examples=[{}])


class ErrorResponse(BaseModel):
    """The one form of errors."""

    error: ErrorBody
    request_id: str = Field(examples=["7a1f0c7de2a34c0d8f7a5f0f4b1f9e11"])
