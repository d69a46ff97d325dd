from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from llmflow.errors import InvalidInputError
from llmflow.schema import Scope
from llmflow.stores.database import Database
from llmflow.stores.feedback import FeedbackStore

HR = Scope("acme", ("hr",), "key:1")
BOTH = Scope("acme", ("hr", "it"), "key:2")
IT = Scope("acme", ("it",), "key:3")
OTHER = Scope("globex", ("hr", "it"), "key:4")
TRACE = "0123456789abcdef" * 2


@pytest.fixture
def feedback(database: Database) -> FeedbackStore:
    return FeedbackStore(database.engine)


def test_feedback_is_kept_as_it_was_given(feedback: FeedbackStore) -> None:
    given = feedback.add(BOTH, TRACE, -1, "조문이 틀렸습니다\0")
    assert (given.tenant, given.departments, given.subject) == ("acme", ("hr", "it"), "key:2")
    assert (given.trace_id, given.value, given.comment) == (TRACE, -1, "조문이 틀렸습니다\N{REPLACEMENT CHARACTER}")
    assert feedback.list(BOTH) == ((given,), 1)


def test_only_who_may_read_all_the_giver_could_read_sees_it(feedback: FeedbackStore) -> None:
    for scope in (HR, BOTH, IT, OTHER):
        feedback.add(scope, TRACE, 1, str(scope.user))

    def seen(scope: Scope) -> list[str | None]:
        page = feedback.list(scope)
        assert page.total == len(page.items)
        return [item.comment for item in page.items]

    assert seen(BOTH) == ["key:3", "key:2", "key:1"]
    assert seen(HR) == ["key:1"]
    assert seen(IT) == ["key:3"]
    assert seen(OTHER) == ["key:4"]
    assert seen(Scope("acme", ("hr", "it", "legal"))) == ["key:3", "key:2", "key:1"]
    assert seen(Scope("acme", ())) == []
    assert seen(Scope("acme", ('hr"', "hr,it", '["hr"]'))) == []


def test_a_user_who_thinks_otherwise_replaces_the_feedback(feedback: FeedbackStore) -> None:
    first = feedback.add(HR, TRACE, 1, "good")
    other_user = feedback.add(Scope("acme", ("hr",), "key:9"), TRACE, 1)
    other_answer = feedback.add(HR, TRACE[::-1], 1)
    second = feedback.add(HR, TRACE, -1)
    assert second.id == first.id
    assert second.created_at > first.created_at
    assert feedback.list(HR) == ((second, other_answer, other_user), 3)
    assert feedback.add(Scope("globex", ("hr",), HR.user), TRACE, 1).id != first.id


def test_feedback_given_twice_at_once_is_one(feedback: FeedbackStore) -> None:
    barrier = threading.Barrier(4)

    def give(value: int) -> None:
        barrier.wait()
        feedback.add(HR, TRACE, value)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(give, (1, -1, 1, -1)))
    assert feedback.list(HR).total == 1


def test_pages(feedback: FeedbackStore) -> None:
    given = [feedback.add(HR, f"{number:032x}", 1) for number in range(5)]
    newest_first = given[::-1]
    pages = [feedback.list(HR, limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [item for page in pages for item in page.items] == newest_first
    assert [page.total for page in pages] == [5, 5, 5, 5]
    for limit, offset in ((0, 0), (1, -1)):
        with pytest.raises(InvalidInputError, match="no page"):
            feedback.list(HR, limit, offset)


@pytest.mark.parametrize(
    ("scope", "trace_id", "value", "comment", "says"),
    [
        (Scope("acme", ("hr",)), TRACE, 1, None, "needs a user"),
        (HR, "abc", 1, None, "'abc' is no trace's"),
        (HR, TRACE.upper(), 1, None, "no trace's"),
        (HR, TRACE, 0, None, "allowed are 1 and -1"),
        (HR, TRACE, 1, "x" * 4001, "4001 characters; allowed are 4000"),
    ],
)
def test_what_is_no_feedback_is_refused(
    feedback: FeedbackStore, scope: Scope, trace_id: str, value: int, comment: str | None, says: str
) -> None:
    with pytest.raises(InvalidInputError, match=says):
        feedback.add(scope, trace_id, value, comment)
    assert feedback.list(HR).total == 0
