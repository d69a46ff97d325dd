"""Langfuse's names for what an observation holds, and the form of its values.

The names are those of Langfuse's OpenTelemetry interface
(https://langfuse.com/integrations/native/opentelemetry).
"""

from __future__ import annotations

import json
from typing import Any

from llmflow.schema import Scope

_OBSERVATION = "langfuse.observation."
KIND = _OBSERVATION + "type"
INPUT = _OBSERVATION + "input"
OUTPUT = _OBSERVATION + "output"
LEVEL = _OBSERVATION + "level"
MESSAGE = _OBSERVATION + "status_message"
MODEL = _OBSERVATION + "model.name"
USAGE = _OBSERVATION + "usage_details"
METADATA = _OBSERVATION + "metadata."
AS_ROOT = "langfuse.internal.as_root"
TENANT = "langfuse.trace.metadata.tenant"
DEPARTMENTS = "langfuse.trace.metadata.departments"
USER = "user.id"

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=str).encode


def encodable(text: str) -> str:
    """``text`` without the lone surrogates of a file name that is not valid Unicode; neither sink takes those."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def as_json(value: Any) -> str:
    """``value`` as JSON; what JSON cannot hold is described instead, for no step may fail by being observed."""
    try:
        return encodable(_encode(value))
    except (TypeError, ValueError, RecursionError):
        return encodable(_encode(repr(value)))


def as_text(value: Any) -> str:
    """Text as it is, anything else as JSON."""
    return encodable(value) if isinstance(value, str) else as_json(value)


def of_metadata(values: dict[str, Any]) -> dict[str, str]:
    """Attributes of further values by name; None is no value."""
    return {METADATA + key: as_json(value) for key, value in values.items() if value is not None}


def of_scope(scope: Scope) -> dict[str, str]:
    """Attributes that say for whom a step was made."""
    marks = {TENANT: as_json(scope.tenant), DEPARTMENTS: departments(scope)}
    return marks if scope.user is None else {**marks, USER: encodable(scope.user)}


def departments(scope: Scope) -> str:
    """The scope's departments as a JSON array that does not depend on their order."""
    return as_json(sorted(set(scope.departments)))
