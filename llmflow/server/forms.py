"""What requests look like, and responses that are not a noun already."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from llmflow.generation.answer import Finished
from llmflow.schema import Answer, Citation, Degradation, Feedback, MetadataValue, PiiEntity, Role
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


def _example(body: dict[str, Any]) -> ConfigDict:
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

    model_config = _example(
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


class AnswerRequest(_Request):
    """A question to be answered from the documents."""

    model_config = _example({"question": "연차휴가는 며칠까지 이월되나요?"})

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


class MaskRequest(_Request):
    """A text to mask."""

    model_config = _example({"text": "담당자 김민준, 010-2345-6789"})

    text: str = Field(max_length=MAX_TEXT, examples=["담당자 김민준, 010-2345-6789"])


@dataclass(frozen=True, slots=True)
class MaskResponse:
    """The masked text; ``entities`` are spans of the text that was sent."""

    text: str
    entities: tuple[PiiEntity, ...]


class FeedbackRequest(_Request):
    """A thumb up or down for an answer."""

    model_config = _example({"trace_id": "0af7651916cd43dd8448eb211c80319c", "value": 1, "comment": "정확한 답이에요."})

    trace_id: str = Field(
        pattern="^[0-9a-f]{32}$",
        description="The answer's `trace_id`.",
        examples=["0af7651916cd43dd8448eb211c80319c"],
    )
    value: Literal[1, -1] = Field(description="1 for up, -1 for down.", examples=[1])
    comment: str | None = Field(None, max_length=2000, examples=["정확한 답이에요."])


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


class ContentPart(BaseModel):
    """A part of a message; only text is taken."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """A message of a conversation in OpenAI's form; further fields are ignored."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"] = Field(examples=["user"])
    content: str | list[ContentPart] | None = Field(None, examples=["연차휴가는 며칠까지 이월되나요?"])

    @property
    def text(self) -> str:
        """The message's text, its parts joined."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    """Options of a streamed completion."""

    include_usage: bool | None = False


class CompletionRequest(BaseModel):
    """A chat completion in OpenAI's form; fields that mean nothing here (temperature, tools, ...) are ignored."""

    model_config = _example(
        {"model": "llmflow", "messages": [{"role": "user", "content": "연차휴가는 며칠까지 이월되나요?"}]}
    )

    model: str = Field(examples=["llmflow"])
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = Field(1, description="Only 1: there is one answer to a question.", examples=[1])


class CompletionMessage(BaseModel):
    """The answer; ``citations`` are ours."""

    role: Literal["assistant"]
    content: str
    refusal: None = None
    citations: list[Citation]


class CompletionChoice(BaseModel):
    """The only choice."""

    index: Literal[0]
    message: CompletionMessage
    logprobs: None = None
    finish_reason: Literal["stop"]


class Usage(BaseModel):
    """Tokens of the conversation and the answer, in LLMFlow's own count."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CompletionDetails(BaseModel):
    """What is known of the answer beside its text."""

    mode: Literal["generative", "extractive", "abstained"]
    trace_id: str | None
    degradations: list[Degradation]
    unsupported: list[str]


class Completion(BaseModel):
    """A chat completion; ``llmflow`` is ours."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage
    llmflow: CompletionDetails


class Model(BaseModel):
    """A model in OpenAI's form."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(BaseModel):
    """The models there are."""

    object: Literal["list"]
    data: list[Model]


class RetrievalSetting(BaseModel):
    """How much Dify wants."""

    top_k: int | None = Field(None, ge=1, le=1000, examples=[3])
    score_threshold: float | None = Field(None, ge=0, le=1, examples=[0.5])


class KnowledgeRequest(BaseModel):
    """What Dify asks of an external knowledge base; further fields are ignored."""

    model_config = _example(
        {
            "knowledge_id": "all",
            "query": "연차휴가는 며칠까지 이월되나요?",
            "retrieval_setting": {"top_k": 3, "score_threshold": 0.5},
        }
    )

    knowledge_id: str = Field(description="A department the key may read, or `all` of them.", examples=["all"])
    query: str = Field(max_length=8000, examples=["연차휴가는 며칠까지 이월되나요?"])
    retrieval_setting: RetrievalSetting = Field(default_factory=RetrievalSetting)
    metadata_condition: MetadataCondition | None = None


class KnowledgeRecord(BaseModel):
    """A passage in Dify's form."""

    content: str
    score: float = Field(ge=0, le=1)
    title: str
    metadata: dict[str, Any] = Field(description="Never null: document_id, page, department, section, name and more.")


class KnowledgeResponse(BaseModel):
    """Passages in Dify's form, best first."""

    records: list[KnowledgeRecord]


class KnowledgeError(BaseModel):
    """An error in Dify's form: 1001 bad header, 1002 not authorised, 2001 unknown knowledge, else the HTTP status."""

    error_code: int = Field(examples=[1002])
    error_msg: str = Field(examples=["Authorization failed"])
