"""Conditions on documents, as Dify's users put them together, made into a test of one document.

Liberal in what they take: a name may be a list (any of the fields counts), a value text, a
number or a list, an operator have its usual other spellings. Text is compared without regard
to case and width.
"""

from __future__ import annotations

import math
import operator
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from llmflow.errors import InvalidInputError
from llmflow.schema import Document, Scope
from llmflow.server.forms import Condition, MetadataCondition
from llmflow.stores.database import Database

Predicate = Callable[[Document], bool]

_PAGE = 1000
_FIELDS = {
    "id": "id",
    "document_id": "id",
    "name": "name",
    "document_name": "name",
    "title": "name",
    "department": "department",
    "mime_type": "mime_type",
    "size_bytes": "size_bytes",
    "dataset_id": "dataset_id",
    "created_by": "created_by",
    "uploader": "created_by",
    "created_at": "created_at",
    "upload_date": "created_at",
    "updated_at": "updated_at",
    "last_update_date": "updated_at",
}
"""Names of the fields every document has; any other name is a key of its metadata."""

_SPELLINGS = {
    "=": "is",
    "==": "is",
    "eq": "is",
    "equals": "is",
    "≠": "is not",
    "!=": "is not",
    "<>": "is not",
    "ne": "is not",
    ">=": "≥",
    "<=": "≤",
    "gt": ">",
    "lt": "<",
    "ge": "≥",
    "le": "≤",
    "before": "<",
    "after": ">",
    "starts with": "start with",
    "ends with": "end with",
    "is empty": "empty",
    "is not empty": "not empty",
    "exists": "not empty",
    "not exists": "empty",
}
_NEGATIONS = {"is not": "is", "not contains": "contains", "not in": "in", "empty": "not empty"}
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "≤": operator.le,
    "≥": operator.ge,
}


def matching_ids(database: Database, scope: Scope, condition: MetadataCondition | None) -> frozenset[str] | None:
    """The documents of a scope that a condition holds for; None where it asks for nothing.

    Raises:
        InvalidInputError: an operator or value that is not known.
    """
    accepts = predicate(condition) if condition is not None else None
    if accepts is None:
        return None
    found: set[str] = set()
    offset, total = 0, 1
    while offset < total:
        page, total = database.documents(scope, limit=_PAGE, offset=offset)
        found.update(document.id for document in page if accepts(document))
        offset += _PAGE
    return frozenset(found)


def predicate(condition: MetadataCondition) -> Predicate | None:
    """The test that a condition stands for; None where none of its parts has a value to compare with."""
    parts = [part for each in condition.conditions if (part := _part(each)) is not None]
    if not parts:
        return None
    joined = any if condition.logical_operator == "or" else all
    return lambda document: joined(part(document) for part in parts)


def _part(condition: Condition) -> Predicate | None:
    spelled = " ".join(condition.comparison_operator.replace("_", " ").lower().split())
    wanted = _SPELLINGS.get(spelled, spelled)
    negated = wanted in _NEGATIONS
    test = _test(_NEGATIONS.get(wanted, wanted), condition)
    if test is None:
        return None
    names = [condition.name] if isinstance(condition.name, str) else condition.name

    def holds(document: Document) -> bool:
        # Of several fields any may fit; a negation wants that none does.
        return any(test(value) for name in names if not _blank(value := _value(document, name))) != negated

    return holds


def _test(wanted: str, condition: Condition) -> Callable[[Any], bool] | None:
    """The test of one field's value, which is not blank; None where there is nothing to compare with."""
    if wanted == "not empty":
        return lambda value: True
    if condition.value is None:
        _refuse_unknown(wanted, condition)
        return None
    several = condition.value if isinstance(condition.value, list) else [condition.value]
    given = [value for value in several if value is not None]
    if wanted in _ORDERS:
        compare = _ORDERS[wanted]
        return lambda value: any((pair := _ordered(value, each)) is not None and compare(*pair) for each in given)
    if wanted == "is":
        return lambda value: any(_same(value, each) for each in given)
    if wanted == "in":
        listed = given if isinstance(condition.value, list) else str(condition.value).split(",")
        return lambda value: any(_same(value, each) for each in listed)
    _refuse_unknown(wanted, condition)
    texts = [_text(each) for each in given]
    match wanted:
        case "contains":
            return lambda value: any(text in _text(value) for text in texts)
        case "start with":
            return lambda value: _text(value).startswith(tuple(texts))
        case _:
            return lambda value: _text(value).endswith(tuple(texts))


def _refuse_unknown(wanted: str, condition: Condition) -> None:
    known = ("contains", "start with", "end with", "is", "in", *_ORDERS)
    if wanted not in known:
        allowed = ", ".join([*known, *_NEGATIONS, "not empty", "before", "after", "=", "≠"])
        raise InvalidInputError(
            f"comparison_operator {condition.comparison_operator!r} is not known; allowed: {allowed}",
            param="comparison_operator",
        )


def _value(document: Document, name: str) -> Any:
    return getattr(document, _FIELDS[name]) if name in _FIELDS else document.metadata.get(name)


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    shown = value.isoformat() if isinstance(value, datetime) else str(value)
    return unicodedata.normalize("NFKC", shown).casefold().strip()


def _same(value: Any, given: Any) -> bool:
    # Two texts of digits are compared as text: "007" is another code than "7".
    pair = None if isinstance(value, str) and isinstance(given, str) else _ordered(value, given)
    return _text(value) == _text(given) if pair is None else pair[0] == pair[1]


def _ordered(value: Any, given: Any) -> tuple[Any, Any] | None:
    """Both as numbers or both as times, which have an order; None where they have none."""
    if isinstance(value, bool) or isinstance(given, bool):
        return None
    for read in (_number, _time):
        left, right = read(value), read(given)
        if left is not None and right is not None:
            return left, right
    return None


def _number(value: Any) -> float | None:
    if isinstance(value, datetime):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _time(value: Any) -> datetime | None:
    """ISO 8601, in UTC where it names no zone, or seconds since 1970."""
    if isinstance(value, datetime):
        return value
    seconds = _number(value)
    try:
        if seconds is not None:
            return datetime.fromtimestamp(seconds, UTC)
        read = datetime.fromisoformat(str(value).strip())
    except (ValueError, OverflowError, OSError):
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
