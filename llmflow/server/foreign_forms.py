"""Forms that others made: OpenAI's chat completions and Dify's External Knowledge API."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from llmflow.schema import Citation, Degradation
from llmflow.server.forms import MetadataCondition, with_example


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


class AnyCompletionRequest(BaseModel):
    """A chat completion in OpenAI's form, with any of its fields.

    For `llmflow` only text is read, `n` may only be 1, and fields that mean nothing here (temperature, tools, ...)
    are ignored. Another model's endpoint gets all of it as it is.
    """

    model_config = ConfigDict(extra="allow") | with_example(
        {"model": "llmflow", "messages": [{"role": "user", "content": "연차휴가는 며칠까지 이월되나요?"}]}
    )

    model: str = Field(description="`llmflow`, or another that `GET /v1/models` lists.", examples=["llmflow"])
    messages: list[dict[str, Any]] = Field(min_length=1)
    stream: bool | None = Field(False, description="Send the answer as events while it is made.")
    stream_options: Any = Field(None, description="`include_usage` adds an event with the tokens to a stream.")
    n: Any = Field(None, description="How many answers; `llmflow` gives 1.")


class CompletionRequest(BaseModel):
    """What LLMFlow itself reads of a chat completion; further fields are ignored."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = 1


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


class EndpointCompletion(BaseModel):
    """A chat completion as the endpoint of another model writes it."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]


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
    """A model in OpenAI's form; ``kind``, ``parent`` and ``max_model_len`` say more."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    kind: Literal["answers", "student", "adapter"] = Field(
        description="`answers`: answers from the documents; `student`: a model of the LLM endpoint; `adapter`: a LoRA"
        " adapter of one."
    )
    parent: str | None = Field(None, description="The model an adapter belongs to.")
    max_model_len: int | None = Field(None, description="Tokens of prompt and answer together, where that is known.")


class Details(BaseModel):
    """What is known beside the result."""

    degradations: list[Degradation]


class ModelList(BaseModel):
    """The models there are; ``llmflow`` is ours."""

    object: Literal["list"]
    data: list[Model]
    llmflow: Details


class RetrievalSetting(BaseModel):
    """How much Dify wants."""

    top_k: int | None = Field(None, ge=1, le=1000, examples=[3])
    score_threshold: float | None = Field(None, ge=0, le=1, examples=[0.5])


class KnowledgeRequest(BaseModel):
    """What Dify asks of an external knowledge base; further fields are ignored."""

    model_config = with_example(
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


class RerankDocument(BaseModel):
    """A text to rank; further fields are ignored."""

    text: str


class RerankRequest(BaseModel):
    """A reranking in the form of Jina and Cohere; further fields are ignored, null ones mean the default."""

    model_config = with_example(
        {
            "model": "llmflow",
            "query": "연차휴가는 며칠까지 이월되나요?",
            "documents": ["출장비는 7일 안에 정산한다.", "쓰지 않은 연차휴가는 5일까지 이월한다."],
            "top_n": 1,
        }
    )

    model: str | None = Field(
        None,
        description="`llmflow`: all models that are configured; `llm`, `cross_encoder` or `none`: that alone.",
        examples=["llmflow"],
    )
    query: str = Field(min_length=1, max_length=8000, examples=["연차휴가는 며칠까지 이월되나요?"])
    documents: list[str | RerankDocument] = Field(min_length=1, max_length=1000)
    top_n: int | None = Field(None, ge=1, description="Results at most; default: all.", examples=[3])
    return_documents: bool | None = Field(None, description="Send the texts back with the results.")


class RerankResult(BaseModel):
    """A text's position in the request and its relevance."""

    index: int
    relevance_score: float = Field(ge=0, le=1)
    document: RerankDocument | None = Field(None, description="Only with `return_documents`.")


class RerankUsage(BaseModel):
    """Tokens of query and texts, in LLMFlow's own count."""

    total_tokens: int


class RerankResponse(BaseModel):
    """Texts in order of relevance; ``llmflow`` is ours."""

    id: str
    model: str
    results: list[RerankResult]
    usage: RerankUsage
    llmflow: Details


class EmbeddingsRequest(BaseModel):
    """A request for embeddings in OpenAI's form; further fields are ignored."""

    model_config = with_example({"model": "llmflow", "input": ["연차휴가는 며칠까지 이월되나요?"]})

    model: str = Field(examples=["llmflow"])
    input: str | list[str] = Field(description="A text, or up to 2,048 of them.", examples=[["연차휴가"]])
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = Field(None, ge=1, description="Must be the embedder's own.")


class Embedding(BaseModel):
    """A text's vector, of length 1: numbers, or float32 in little-endian order as base64."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(BaseModel):
    """Tokens of the texts, in LLMFlow's own count."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(BaseModel):
    """Vectors in the order of the texts; ``model`` names the version of the embedder."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage
