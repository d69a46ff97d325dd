"""Nouns shown in the API's documentation, from the sample company."""

from __future__ import annotations

from datetime import UTC, datetime

from llmflow.schema import Candidate, Chunk, Citation, ElementType, Query, RetrievalResult, StageScore
from llmflow.server.forms import AnswerResponse
from llmflow.tracing import Score, Trace, TraceNode, TraceSummary

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
_DOCUMENT_ID = "5d41402abc4b2a76b9719d911017c592"
_QUESTION = "연차휴가는 며칠까지 이월되나요?"
_SENTENCE = "쓰지 않은 연차휴가는 5일까지 이월한다."
_LEAD = "문서에서 찾은 내용입니다."

_CHUNK = Chunk(
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

RETRIEVAL = RetrievalResult(
    query=Query(_QUESTION, "ko"),
    candidates=(Candidate(_CHUNK, 0.62, (StageScore("chunk_words", 1, 8.4), StageScore("fused", 1, 0.62))),),
    timings_ms={"analyze": 1.9, "legs": 2.4, "fuse": 0.3, "select": 1.1},
    trace_id=TRACE_ID,
)

ANSWER = AnswerResponse(
    text=f"{_LEAD}\n{_SENTENCE} [1]",
    citations=(Citation(1, _CHUNK.id, _DOCUMENT_ID, "휴가규정.pdf", 2, _SENTENCE, (10, 32)),),
    mode="extractive",
    retrieval=RETRIEVAL,
    timings_ms={"extract": 3.1, "mask": 0.4, "total": 3.6},
    trace_id=TRACE_ID,
)

EVENTS = f"""event: delta
data: {{"text": "{_LEAD}"}}

event: delta
data: {{"text": "\\n{_SENTENCE} [1]"}}

event: finished
data: {{"text": "...", "citations": [], "mode": "extractive", "cached": false}}

"""

SUMMARY = TraceSummary(TRACE_ID, "ask", _QUESTION, datetime(2026, 11, 2, 9, 30, tzinfo=UTC), 41.5, 12, 0)

TRACE = Trace(
    SUMMARY,
    (
        TraceNode("b7ad6b7169203331", "ask", "chain", 0.0, 41.5, "DEFAULT", None, _QUESTION, "extractive", {}, (
            TraceNode("00f067aa0ba902b7", "retrieve", "retriever", 0.2, 37.0, "DEFAULT", None, None, None, {}, ()),
        )),
    ),
    (Score("feedback", 1.0),),
)  # fmt: skip
