"""Nouns in and out: JSON as :func:`dataclasses.asdict` has it, and scopes no wider than the credential's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import Response
from pydantic import TypeAdapter

from llmflow.errors import ForbiddenError
from llmflow.schema import Principal, Role, Scope

_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def as_json(noun: Any) -> bytes:
    """A noun as JSON in UTF-8; enums as their values, times in ISO 8601."""
    kind = type(noun)
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind].dump_json(noun)


def noun_response(noun: Any, status: int = 200) -> Response:
    """A response that is a noun. It was made by us, so that it is not validated again."""
    return Response(as_json(noun), status, media_type="application/json")


def sees_own(caller: Principal) -> bool:
    """Whether the caller sees only its own traces; an administrator sees those of its departments."""
    return caller.role is not Role.ADMINISTRATOR


def narrowed(scope: Scope, departments: list[str] | None) -> Scope:
    """The scope with fewer departments.

    Raises:
        ForbiddenError: one of them is not among the scope's.
    """
    if departments is None:
        return scope
    outside = [department for department in departments if department not in scope.departments]
    if outside:
        raise ForbiddenError(
            f"the credential may not read {', '.join(map(repr, outside))}; it may read: {', '.join(scope.departments)}",
            param="departments",
        )
    return replace(scope, departments=tuple(dict.fromkeys(departments)))
