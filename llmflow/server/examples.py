"""Nouns shown in the API's documentation, from the sample company."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

from llmflow.schema import (
    Candidate,
    Chunk,
    Citation,
    Document,
    DocumentStatus,
    ElementType,
    Job,
    JobStatus,
    Query,
    RetrievalResult,
    StageScore,
)
from llmflow.server.forms import AnswerResponse, ChunkAbout, ChunkMentioning, GraphRelation, GraphSearchResponse
from llmflow.tracing import Score, Trace, TraceNode, TraceSummary

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
_DOCUMENT_ID = "5d41402abc4b2a76b9719d911017c592"
_QUESTION = "연차휴가는 며칠까지 이월되나요?"
_SENTENCE = "쓰지 않은 연차휴가는 5일까지 이월한다."
_LEAD = "문서에서 찾은 내용입니다."

CHUNK = Chunk(
    id="9e107d9d372bb6826bd81d3542a419d6",
    document_id=_DOCUMENT_ID,
    tenant="회사",
    department="인사",
    ordinal=3,
    text=f"제4조(연차휴가) {_SENTENCE}",
    title="휴가규정",
    document_name="휴가규정.pdf",
    section_path=("휴가규정", "제2장 연차휴가"),
    page=2,
    element_type=ElementType.NARRATIVE_TEXT,
    article="제4조",
)

DOCUMENT = Document(
    id=_DOCUMENT_ID,
    tenant="회사",
    department="인사",
    name="휴가규정.pdf",
    source="upload://인사/휴가규정.pdf",
    mime_type="application/pdf",
    size_bytes=48_213,
    sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    status=DocumentStatus.READY,
    chunks_count=14,
    entities_count=3,
    metadata={"year": 2026},
    created_by="key:0123456789abcdef",
    created_at=datetime(2026, 11, 2, 9, 0, tzinfo=UTC),
    updated_at=datetime(2026, 11, 2, 9, 0, 4, tzinfo=UTC),
)

JOB = Job(
    id="e4d909c290d0fb1ca068ffaddf22cbd0",
    document_id=_DOCUMENT_ID,
    tenant="회사",
    status=JobStatus.DONE,
    stage="store",
    attempts=1,
    created_at=datetime(2026, 11, 2, 9, 0, tzinfo=UTC),
    updated_at=datetime(2026, 11, 2, 9, 0, 4, tzinfo=UTC),
)

RETRIEVAL = RetrievalResult(
    query=Query(_QUESTION, "ko"),
    candidates=(Candidate(CHUNK, 0.62, (StageScore("chunk_words", 1, 8.4), StageScore("fused", 1, 0.62))),),
    timings_ms={"analyze": 1.9, "legs": 2.4, "fuse": 0.3, "select": 1.1},
    trace_id=TRACE_ID,
)

ANSWER = AnswerResponse(
    text=f"{_LEAD}\n{_SENTENCE} [1]",
    citations=(Citation(1, CHUNK.id, _DOCUMENT_ID, "휴가규정.pdf", 2, _SENTENCE, (10, 32)),),
    mode="extractive",
    retrieval=RETRIEVAL,
    timings_ms={"extract": 3.1, "mask": 0.4, "total": 3.6},
    trace_id=TRACE_ID,
)

NEIGHBOURHOOD = GraphSearchResponse(
    "휴가규정",
    ("work",),
    (ChunkAbout(CHUNK.id, _DOCUMENT_ID, CHUNK.document_name, "work"),),
    (ChunkMentioning("c4ca4238a0b923820dcc509a6f75849b", "c81e728d9d4c2f636f067f89cc14862c", "취업규칙.docx", 0.9),),
    (GraphRelation(1, "취업규칙 제12조", "refers_to", "휴가규정", 1.0, "c4ca4238a0b923820dcc509a6f75849b"),),
)

EVENTS = f"""event: delta
data: {{"text": "{_LEAD}"}}

event: delta
data: {{"text": "\\n{_SENTENCE} [1]"}}

event: finished
data: {{"text": "...", "citations": [], "mode": "extractive", "cached": false}}

"""

SUMMARY = TraceSummary(TRACE_ID, "ask", _QUESTION, datetime(2026, 11, 2, 9, 30, tzinfo=UTC), 41.5, 12, 0)

_FAILED = "the LLM did not answer in time; the answer was quoted instead"

TRACE = Trace(
    SUMMARY,
    (
        TraceNode("b7ad6b7169203331", "ask", "chain", 0.0, 41.5, "WARNING", _FAILED, _QUESTION, "extractive", {}, (
            TraceNode(
                "00f067aa0ba902b7", "answer", "generation", 37.2, 4.1, "WARNING", _FAILED, "", ANSWER.text, {}, ()
            ),
        )),
    ),
    (Score("feedback", 1.0),),
)  # fmt: skip

COMPLETION = {
    "id": "chatcmpl-7a1f0c7de2a34c0d8f7a5f0f4b1f9e11",
    "object": "chat.completion",
    "created": 1_793_611_800,
    "model": "llmflow",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": ANSWER.text,
                "refusal": None,
                "citations": [asdict(citation) for citation in ANSWER.citations],
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 11, "completion_tokens": 24, "total_tokens": 35},
    "llmflow": {"mode": "extractive", "trace_id": TRACE_ID, "degradations": [], "unsupported": []},
}

CHUNKS = """data: {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "..."}}]}

data: {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"citations": []}}], "llmflow": {}}

data: [DONE]

"""
