"""Whether a question leans on the one before, what it then means, and what that finds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmflow.conversation.rewrite import stand_alone
from llmflow.runtime import Runtime
from llmflow.schema import Scope
from llmflow.settings import Settings

HERE = Path(__file__).parent
DOCUMENTS = HERE.parents[1] / "samples" / "documents"
SCOPE = Scope("회사", ("모두",))


def decisions(name: str) -> Counter[tuple[bool, bool]]:
    """How often a question was (a follow-up, taken for one)."""
    rows = [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]
    return Counter((row["follow_up"], stand_alone(row["question"], row["before"]) is not None) for row in rows)


@pytest.mark.parametrize("name", ["followups.jsonl", "followups_unseen.jsonl"])
def test_both_decisions_are_right_nearly_always(name: str) -> None:
    found = decisions(name)
    assert sum(found.values()) >= 40
    assert found[True, True] / (found[True, True] + found[False, True]) >= 0.95
    assert found[False, False] / (found[False, False] + found[True, False]) >= 0.9


@pytest.mark.parametrize(
    ("before", "question", "meaning"),
    [
        ("국내 출장 숙박비 한도는 얼마인가요?", "해외는요?", "해외 출장 숙박비 한도는 얼마인가요?"),
        ("국내 출장 숙박비 한도는 얼마인가요?", "식비는 얼마인가요?", "국내 출장 식비 한도는 얼마인가요?"),
        (
            "근속연수가 5년 이상 7년 미만이면 연차일수는 며칠인가요?",
            "그럼 3년이면요?",
            "근속연수가 3년이면 연차일수는 며칠인가요?",
        ),
        ("카드를 잃어버리면 어떻게 하나요?", "보안키를 잃어버리면요?", "보안키를 잃어버리면 어떻게 하나요?"),
        ("재택근무는 주 며칠까지 할 수 있나요?", "임신 중이면요?", "임신 중이면 재택근무는 주 며칠까지 할 수 있나요?"),
        ("재택근무는 언제까지 신청해야 하나요?", "누가 승인하나요?", "재택근무는 누가 승인하나요?"),
        ("복지포인트는 얼마인가요?", "그건 어디서 쓰나요?", "복지포인트는 어디서 쓰나요?"),
        ("병가는 며칠까지 쓸 수 있나요?", "그중 유급은 며칠이에요?", "병가 중 유급은 며칠이에요?"),
        ("만 10년 근속한 직원의 휴가비는 얼마인가요?", "15년은요?", "만 15년 근속한 직원의 휴가비는 얼마인가요?"),
        ("How long is maternity leave?", "What about sick leave?", "How long is sick leave?"),
        (
            "How many days of annual leave do I get after 5 years?",
            "And after 10 years?",
            "How many days of annual leave do I get after 10 years?",
        ),
        ("How long must my password be?", "How often does it change?", "About password: how often does it change?"),
    ],
)
def test_what_a_follow_up_means(before: str, question: str, meaning: str) -> None:
    assert stand_alone(question, before) == meaning


FINDS = [
    ("이해관계자에게서 받아도 되는 선물의 한도는 얼마인가요?", "초과하면 어떻게 되나요?", "윤리강령.docx"),
    ("그림터 라이선스는 1인당 월 요금이 얼마인가요?", "그 계약은 언제 만료되나요?", "IT장비_단가표.xlsx"),
    ("자녀 학자금은 학기당 얼마까지 지원하나요?", "신청은 언제 하나요?", "복리후생.csv"),
    ("회의실은 한 번에 몇 시간까지 예약할 수 있나요?", "취소는 어떻게 하나요?", "자주묻는질문.html"),
    ("재택근무는 언제까지 신청해야 하나요?", "누가 승인하나요?", "재택근무규정.md"),
    ("배우자 출산휴가는 며칠인가요?", "나눠 쓸 수 있나요?", "휴가규정.pdf"),
    ("복지포인트는 얼마인가요?", "그건 어디서 쓰나요?", "복리후생.csv"),
    ("국내 출장 숙박비 한도는 얼마인가요?", "해외는요?", "경비규정.docx"),
    ("Is public Wi-Fi safe?", "Why not?", "it_security_faq.md"),
    ("How many unused leave days may I carry over?", "When do they expire?", "employee_handbook.pdf"),
]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    settings = Settings.model_validate(
        {"data_dir": tmp_path_factory.mktemp("data"), "parsing": {"ocr": "off"}, "tracing": {"enabled": False}}
    )
    with Runtime(settings) as runtime:
        assert all(outcome.document.status == "ready" for outcome in runtime.ingest(SCOPE, "모두", [DOCUMENTS]))
        yield runtime


def first_document(runtime: Runtime, question: str) -> str | None:
    candidates = runtime.search(SCOPE, question, top_k=1).candidates
    return candidates[0].chunk.document_name if candidates else None


def test_the_rewritten_question_finds_the_document_where_the_bare_one_does_not(runtime: Runtime) -> None:
    bare = [first_document(runtime, question) == name for _, question, name in FINDS]
    rewritten = [
        first_document(runtime, stand_alone(question, before) or question) == name for before, question, name in FINDS
    ]
    assert sum(rewritten) == len(FINDS), list(zip(FINDS, rewritten, strict=True))
    assert sum(bare) < len(FINDS) // 2
