"""Conditions on documents: every operator of Dify's, on fields and on metadata."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from llmflow.errors import InvalidInputError
from llmflow.schema import Document, DocumentStatus, MetadataValue
from llmflow.server.filters import predicate
from llmflow.server.forms import MetadataCondition

METADATA: Mapping[str, MetadataValue] = {
    "project": "Apollo 계획",
    "year": 2024,
    "code": "007",
    "amount": "1500.5",
    "final": True,
    "due": "2024-05-01",
    "note": " ",
    "nothing": None,
}
DOCUMENT = Document(
    id="d1",
    tenant="회사",
    department="인사",
    name="휴가규정.pdf",
    source="/secret/휴가규정.pdf",
    mime_type="application/pdf",
    size_bytes=2048,
    sha256="0" * 64,
    status=DocumentStatus.READY,
    metadata=dict(METADATA),
    created_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
)


def holds(*conditions: tuple[Any, str, Any], join: str = "and") -> bool:
    made = MetadataCondition.model_validate({
        "logical_operator": join,
        "conditions": [{"name": name, "comparison_operator": op, "value": value} for name, op, value in conditions],
    })  # fmt: skip
    test = predicate(made)
    assert test is not None
    return test(DOCUMENT)


@pytest.mark.parametrize(
    ("name", "operator", "value", "expected"),
    [
        ("name", "contains", "휴가", True),
        ("name", "contains", ["출장", "휴가"], True),
        ("name", "contains", "출장", False),
        ("name", "not contains", "출장", True),
        ("name", "not contains", "휴가", False),
        ("project", "start with", "apollo", True),
        ("project", "starts with", "계획", False),
        ("name", "end with", ".PDF", True),
        ("name", "ends with", ".docx", False),
        ("department", "is", "인사", True),
        ("department", "=", "인사", True),
        ("department", "is not", "인사", False),
        ("department", "≠", "보안", True),
        ("department", "!=", "인사", False),
        ("department", "in", ["보안", "인사"], True),
        ("department", "is", [None, "인사"], True),
        ("department", "is", [None], False),
        ("department", "in", "보안, 인사", True),
        ("department", "not in", ["보안", "인사"], False),
        ("department", "not_in", ["보안"], True),
        ("project", "empty", None, False),
        ("note", "empty", None, True),
        ("nothing", "empty", None, True),
        ("absent", "empty", None, True),
        ("absent", "not empty", None, False),
        ("year", "not empty", None, True),
        ("year", "=", 2024, True),
        ("year", "=", "2024", True),
        ("year", "=", 2024.0, True),
        ("code", "is", "7", False),
        ("code", "is", "007", True),
        ("code", "=", 7, True),
        ("year", ">", 2023, True),
        ("year", ">", "2024", False),
        ("year", "≥", 2024, True),
        ("year", ">=", 2025, False),
        ("amount", "<", 1500.6, True),
        ("amount", "<=", "1500.5", True),
        ("amount", "≤", 1500, False),
        ("size_bytes", ">", 0, True),
        ("final", "is", True, True),
        ("final", "is", "true", True),
        ("final", ">", 0, False),
        ("project", ">", 3, False),
        ("created_at", "after", "2026-02-28", True),
        ("created_at", "after", "2026-03-01T12:00:00Z", False),
        ("created_at", "before", "2026-03-02T00:00:00+09:00", True),
        ("created_at", "before", 1_700_000_000, False),
        ("created_at", "after", "1700000000", True),
        ("created_at", "before", "tomorrow", False),
        ("due", "before", "2024-05-02", True),
        ("due", "after", "2024-05-02", False),
        ("upload_date", "after", "2026-01-01", True),
        (["title", "project"], "contains", "apollo", True),
        (["title", "project"], "not contains", "apollo", False),
        (["absent", "note"], "empty", None, True),
        ("absent", "is", "x", False),
        ("absent", "is not", "x", True),
        ("absent", ">", 0, False),
        ("year", "=", 0, False),
        ("source", "contains", "secret", False),
    ],
)
def test_operators(name: Any, operator: str, value: Any, expected: bool) -> None:
    assert holds((name, operator, value)) is expected


def test_conditions_are_joined() -> None:
    true, false = ("department", "is", "인사"), ("department", "is", "보안")
    assert not holds(true, false)
    assert holds(true, true)
    assert holds(true, false, join="or")
    assert not holds(false, false, join="or")


def test_conditions_without_a_value_ask_for_nothing() -> None:
    """As Dify's own knowledge bases do; 0 and the empty text are values."""
    unset = {"name": "year", "comparison_operator": ">"}
    assert predicate(MetadataCondition.model_validate({"conditions": [unset]})) is None
    assert predicate(MetadataCondition(conditions=[])) is None
    assert holds(("year", ">", None), ("year", ">", 0))
    assert not holds(("project", "is", ""))


def test_unknown_operators_are_refused() -> None:
    for value in ("x", None):
        with pytest.raises(InvalidInputError, match="'like' is not known; allowed: contains") as error:
            holds(("name", "like", value))
        assert error.value.param == "comparison_operator"
    with pytest.raises(ValidationError):
        MetadataCondition.model_validate({"logical_operator": "xor", "conditions": []})
