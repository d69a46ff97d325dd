"""Retrieval results made by hand."""

from __future__ import annotations

from typing import Literal

from llmflow.schema import Candidate, Chunk, Query, RetrievalResult


def candidate(text: str, name: str = "휴가규정.pdf", path: tuple[str, ...] = (), score: float = 0.9) -> Candidate:
    chunk = Chunk(
        id=f"chunk-{name}-{len(text)}",
        document_id=f"doc-{name}",
        tenant="t",
        department="d",
        ordinal=0,
        text=text,
        title=path[0] if path else "",
        document_name=name,
        section_path=path,
        page=3,
    )
    return Candidate(chunk, score)


def result(question: str, *candidates: Candidate, language: Literal["ko", "en"] = "ko") -> RetrievalResult:
    return RetrievalResult(Query(question, language), candidates)


LEAVE = candidate(
    "제4조(연차휴가의 부여)\n1년간 80퍼센트 이상 출근한 임직원에게는 15일의 연차휴가를 준다. 3년 이상 일하면"
    " 2년마다 1일을 더하고 25일을 한도로 한다.",
    path=("휴가 규정", "제4조(연차휴가의 부여)"),
)
TRAVEL = candidate(
    "| 항목 | 기준 | 비고 |\n| --- | --- | --- |\n| 일비 | 1일 40,000원 | 영수증 없이 지급 |\n"
    "| 숙박비 | 1박 120,000원 한도 | 실비 |\n"
    "| 식비 | 1식 15,000원 한도 | 실비 |",
    name="경비규정.docx",
    path=("경비 규정", "3. 국내 출장"),
    score=0.7,
)
HANDBOOK = candidate(
    "Remote work\n\nAfter the first three months you may work from home two days a week. Register your days by 17:00 on"
    " Thursday of the week before.",
    name="employee_handbook.pdf",
    path=("Employee Handbook", "Remote work"),
)
