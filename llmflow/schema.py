"""The nouns: frozen, typed, and the same words in code, API and documentation."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

MetadataValue = str | int | float | bool | None
RerankMode = Literal["none", "cross_encoder", "llm"]
"""The only model to rerank with, or none."""


class ElementType(StrEnum):
    """What a piece of a parsed document is (the names Unstructured made common)."""

    TITLE = "Title"
    NARRATIVE_TEXT = "NarrativeText"
    LIST_ITEM = "ListItem"
    TABLE = "Table"
    IMAGE = "Image"
    """Text read from a picture or a scanned page by OCR."""


class DocumentStatus(StrEnum):
    """Where a document stands. Only ``READY`` documents can be found."""

    PENDING = "pending"
    PROCESSING = "processing"
    READY = "ready"
    EMPTY = "empty"
    NEEDS_OCR = "needs_ocr"
    REFUSED = "refused"
    """The file itself is not acceptable: encrypted, not what its name says, hostile."""
    FAILED = "failed"
    """The file should have been readable but could not be read within the limits."""


class FailureReason(StrEnum):
    """Why a document did not become ``READY``."""

    EMPTY = "empty"
    NEEDS_OCR = "needs_ocr"
    ENCRYPTED = "encrypted"
    UNSUPPORTED_TYPE = "unsupported_type"
    TYPE_MISMATCH = "type_mismatch"
    EXTERNAL_ENTITY = "external_entity"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    TIMEOUT = "timeout"
    MEMORY_LIMIT = "memory_limit"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose data a call may touch. Every store call takes one; there is no default.

    ``departments`` are the departments the caller may read; writing goes to one named
    department which must be among them.
    """

    tenant: str
    departments: tuple[str, ...]
    user: str | None = None


class Role(StrEnum):
    """What a credential allows: a reader asks, an editor also adds and deletes documents, an administrator
    also sees traces and feedback of others."""

    READER = "reader"
    EDITOR = "editor"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. ``subject`` is unique within the tenant: ``key:ID``, or ``jwt:SUB``; ``scope.user`` is the same."""

    subject: str
    scope: Scope
    role: Role


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of an API key; its secret is not. ``last_used_at`` is exact to the minute."""

    id: str
    tenant: str
    departments: tuple[str, ...]
    role: Role
    name: str | None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a user thinks of an answer: ``value`` is 1 or -1. ``departments`` are those the user could read then."""

    id: str
    tenant: str
    departments: tuple[str, ...]
    subject: str
    trace_id: str
    value: int
    comment: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Element:
    """A typed piece of a parsed document, in reading order.

    ``page`` counts from 1 (None where the format has no pages; slide or sheet number for
    presentations and workbooks). ``coordinates`` are (x0, top, x1, bottom) in points from
    the page's upper left corner. ``level`` is a title's depth, 1 being the highest.
    A table's ``text`` is a Markdown table whose first row is the header.
    """

    type: ElementType
    text: str
    page: int | None = None
    coordinates: tuple[float, float, float, float] | None = None
    level: int | None = None


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """What a parser makes of a file. ``warnings`` name everything that was left out."""

    title: str
    mime_type: str
    elements: tuple[Element, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """The unit that is embedded, found and cited.

    ``text`` is what readers see (after masking). ``title`` is the document's title,
    ``section_path`` the titles above the text, outermost first. ``article`` is the
    normalised statute reference ("제60조", "제60조의2"), if the chunk is (part of) an article.
    """

    id: str
    document_id: str
    tenant: str
    department: str
    ordinal: int
    text: str
    title: str
    document_name: str
    section_path: tuple[str, ...] = ()
    page: int | None = None
    element_type: ElementType = ElementType.NARRATIVE_TEXT
    article: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A document's row.

    ``source`` is where the file came from; ``name`` is its file name. ``entities_count`` is
    the number of pieces of personal data masked in it; ``warnings`` name what was left out.
    ``metadata`` are values its owner gave it, for filters.
    """

    id: str
    tenant: str
    department: str
    name: str
    source: str
    mime_type: str
    size_bytes: int
    sha256: str
    status: DocumentStatus
    chunks_count: int = 0
    entities_count: int = 0
    reason: FailureReason | None = None
    message: str | None = None
    warnings: tuple[str, ...] = ()
    metadata: dict[str, MetadataValue] = field(default_factory=dict)
    dataset_id: str | None = None
    created_by: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class JobStatus(StrEnum):
    """Where a job stands. A ``RUNNING`` job whose lease is over belongs to a killed process."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Job:
    """One ingestion of one document; ``stage`` is the last stage that was completed.

    ``attempts`` counts how often it was begun.
    """

    id: str
    document_id: str
    tenant: str
    status: JobStatus
    stage: str | None = None
    error: str | None = None
    trace_id: str | None = None
    attempts: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A question after analysis.

    ``text`` is the normalised question. ``references`` are statute references found in it,
    as (law, article) with law None where only an article is named.
    """

    text: str
    language: Literal["ko", "en"]
    references: tuple[tuple[str | None, str], ...] = ()


@dataclass(frozen=True, slots=True)
class StageScore:
    """What one stage said of a candidate: its rank (from 1) and score in that stage."""

    stage: str
    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class StageNote:
    """What a stage has to say of a candidate in words, for who asks for an explanation."""

    stage: str
    text: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk with the answer to "why is this here": its score in every stage it passed.

    ``score`` is the final score in [0, 1]. ``notes`` are there where an explanation was asked for.
    """

    chunk: Chunk
    score: float
    stages: tuple[StageScore, ...] = ()
    notes: tuple[StageNote, ...] = ()


@dataclass(frozen=True, slots=True)
class Degradation:
    """A stage that failed or was skipped, and why. Never silent."""

    stage: str
    reason: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A relation of the graph that was walked on the way to a candidate; ``chunk_id`` is where it is written."""

    subject: str
    relation: str
    object: str
    chunk_id: str


@dataclass(frozen=True, slots=True)
class RetrievalResult:
    """Candidates in final order, milliseconds per stage, and what went wrong on the way."""

    query: Query
    candidates: tuple[Candidate, ...]
    timings_ms: dict[str, float] = field(default_factory=dict)
    degradations: tuple[Degradation, ...] = ()
    trace_id: str | None = None
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Citation:
    """A quote from a chunk, masked as the answer is. ``span`` is (start, end) in characters of the chunk's text."""

    number: int
    chunk_id: str
    document_id: str
    document_name: str
    page: int | None
    quote: str
    span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its evidence. ``unsupported`` are sentences no passage bears out."""

    text: str
    citations: tuple[Citation, ...]
    mode: Literal["generative", "extractive", "abstained"]
    unsupported: tuple[str, ...] = ()
    retrieval: RetrievalResult | None = None
    degradations: tuple[Degradation, ...] = ()
    timings_ms: dict[str, float] = field(default_factory=dict)
    trace_id: str | None = None


@dataclass(frozen=True, slots=True)
class PiiEntity:
    """A piece of personal data: ``text[start:end]``, with a score in [0, 1]."""

    type: str
    start: int
    end: int
    score: float
