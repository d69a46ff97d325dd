from __future__ import annotations

import pytest

from llmflow.errors import InvalidInputError, NotFoundError
from llmflow.schema import Scope
from llmflow.stores.database import Database
from llmflow.stores.memory import Accepted, MemoryStore, Origin

HR = Scope("acme", ("hr",), "key:1")
BOTH = Scope("acme", ("hr", "it"), "key:2")
IT = Scope("acme", ("it",), "key:3")
OTHER = Scope("globex", ("hr", "it"), "key:4")
TRACE = "0123456789abcdef" * 2
TERMS = {2: 1.0, 4_000_000_001: 2.5}
LEAVE = "연차휴가는 며칠인가요?"


@pytest.fixture
def memories(database: Database) -> MemoryStore:
    return MemoryStore(database.engine)


def document(database: Database, scope: Scope, department: str, name: str) -> str:
    kind = {"mime_type": "text/plain", "size_bytes": 1, "sha256": "0" * 64}
    return database.submit(scope, department, source=f"/{name}", name=name, **kind).document_id  # type: ignore[arg-type]


def test_what_was_accepted_is_kept_once(database: Database, memories: MemoryStore) -> None:
    leave = document(database, BOTH, "hr", "leave.md")
    vpn = document(database, BOTH, "it", "vpn.md")
    accepted = [Accepted(leave, "c1"), Accepted(vpn), Accepted(leave, "c1")]
    first = memories.remember(BOTH, LEAVE, TERMS, accepted, Origin.FEEDBACK, TRACE)
    assert [(one.department, one.document_id, one.chunk_id) for one in first] == [
        ("hr", leave, "c1"),
        ("it", vpn, None),
    ]
    assert {(one.tenant, one.question, one.departments, one.subject, one.origin, one.trace_id) for one in first} == {
        ("acme", LEAVE, ("hr", "it"), "key:2", Origin.FEEDBACK, TRACE)
    }
    again = memories.remember(BOTH, LEAVE, TERMS, accepted, Origin.FEEDBACK, TRACE)
    assert [one.id for one in again] == [one.id for one in first]
    assert memories.list(BOTH).total == 2
    (kept,) = memories.remembered("acme", "hr")
    assert (kept.question, kept.terms, kept.accepted) == (LEAVE, TERMS, (Accepted(leave, "c1"),))
    assert kept.askers == (("hr", "it"),)


def test_a_document_outside_the_scope_is_not_remembered(database: Database, memories: MemoryStore) -> None:
    leave, vpn = document(database, BOTH, "hr", "leave.md"), document(database, BOTH, "it", "vpn.md")
    for scope in (HR, OTHER):
        with pytest.raises(NotFoundError, match=vpn):
            memories.remember(scope, LEAVE, TERMS, [Accepted(vpn)], Origin.CLICK)
    with pytest.raises(NotFoundError):
        memories.remember(HR, LEAVE, TERMS, [Accepted(leave), Accepted(vpn)], Origin.CLICK)
    assert memories.list(BOTH).total == 0
    for question in ("", "가" * 8001):
        with pytest.raises(InvalidInputError, match="allowed are 1 to 8,000"):
            memories.remember(HR, question, TERMS, [Accepted(leave)], Origin.CLICK)


def test_questions_are_shown_to_who_may_read_all_their_askers_could(database: Database, memories: MemoryStore) -> None:
    leave = document(database, BOTH, "hr", "leave.md")
    (by_both,) = memories.remember(BOTH, "둘 다 읽는 사람의 질문", TERMS, [Accepted(leave)], Origin.FEEDBACK)
    (by_hr,) = memories.remember(HR, "인사만 읽는 사람의 질문", TERMS, [Accepted(leave)], Origin.FEEDBACK)
    assert memories.list(BOTH).items == (by_hr, by_both)
    assert memories.list(HR).items == (by_hr,)
    assert memories.list(BOTH, own=True).items == (by_both,)
    assert memories.list(IT) == memories.list(OTHER) == ((), 0)
    for scope, own in ((HR, False), (HR, True), (IT, False), (OTHER, False)):
        with pytest.raises(NotFoundError):
            memories.forget(scope, by_both.id, own=own)
    # Both departments' questions help whoever reads the passage.
    assert {one.question for one in memories.remembered("acme", "hr")} == {by_both.question, by_hr.question}
    assert memories.forget(BOTH, by_hr.id) == by_hr
    assert memories.forget(BOTH, by_both.id, own=True) == by_both
    assert memories.remembered("acme", "hr") == ()


def test_forgetting_by_user_document_trace_and_origin(database: Database, memories: MemoryStore) -> None:
    leave, vpn = document(database, BOTH, "hr", "leave.md"), document(database, BOTH, "it", "vpn.md")
    both = [Accepted(leave), Accepted(vpn)]

    def fill() -> None:
        memories.remember(BOTH, "가", TERMS, both, Origin.FEEDBACK, TRACE)
        memories.remember(HR, "나", TERMS, both[:1], Origin.GOLD)

    fill()
    assert memories.forget_all(OTHER, subject="key:2") == 0
    assert memories.forget_all(IT, trace_id=TRACE) == 1
    assert memories.forget_all(BOTH, subject="key:2", trace_id=TRACE) == 1
    fill()
    assert memories.forget_all(BOTH, document_id=leave) == 2
    fill()
    assert memories.forget_all(BOTH, origin=Origin.GOLD) == 1
    assert memories.forget_all(BOTH, subject="key:1") == 0
    with pytest.raises(InvalidInputError, match="say what to forget"):
        memories.forget_all(BOTH)
    assert memories.list(BOTH).total == 2


def test_memories_go_with_their_document(database: Database, memories: MemoryStore) -> None:
    leave = document(database, HR, "hr", "leave.md")
    memories.remember(HR, LEAVE, TERMS, [Accepted(leave)], Origin.FEEDBACK)
    database.delete(HR, leave)
    assert memories.list(HR).total == 0


def test_the_version_tells_every_change(database: Database, memories: MemoryStore) -> None:
    leave = document(database, HR, "hr", "leave.md")
    seen = [memories.versions(BOTH)]
    assert seen == [{}]
    (one,) = memories.remember(HR, "가", TERMS, [Accepted(leave)], Origin.FEEDBACK)
    seen.append(memories.versions(BOTH))
    memories.remember(HR, "나", TERMS, [Accepted(leave)], Origin.FEEDBACK)
    seen.append(memories.versions(BOTH))
    memories.forget(HR, one.id)
    seen.append(memories.versions(BOTH))
    memories.remember(HR, "가", TERMS, [Accepted(leave)], Origin.FEEDBACK)
    seen.append(memories.versions(BOTH))
    assert len({str(version) for version in seen}) == len(seen)
    assert memories.versions(IT) == memories.versions(OTHER) == {}


def test_pages(database: Database, memories: MemoryStore) -> None:
    leave = document(database, HR, "hr", "leave.md")
    for number in range(5):
        memories.remember(HR, f"질문 {number}", TERMS, [Accepted(leave)], Origin.GOLD)
    pages = [memories.list(HR, limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [one.question for page in pages for one in page.items] == [f"질문 {number}" for number in (4, 3, 2, 1, 0)]
    assert [page.total for page in pages] == [5, 5, 5, 5]
    for limit, offset in ((0, 0), (1, -1)):
        with pytest.raises(InvalidInputError, match="no page"):
            memories.list(HR, limit, offset)
