"""Documents against their pydantic models: every error of pydantic as a finding with its place."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from dify_plugins.tooling.validation.document import Document, Loc
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown


class Declaration(BaseModel):
    """Base of what YAML files declare: unknown keys are refused, values are not converted.

    A field's description says what is allowed there, in the words of a finding.
    """

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())

    may_be_empty: ClassVar[bool] = False
    """Whether a key may have no value; one part of Dify takes that as left out, another as an error."""


D = TypeVar("D", bound=Declaration)


def check(document: Document, model: type[D], at: Loc = ()) -> tuple[D | None, list[Problem]]:
    """The declaration that stands at ``at``, or what is wrong with it."""
    data = document.data
    for step in at:
        data = data[step]
    problems = [] if model.may_be_empty else [_empty(document, loc) for loc in _nulls(data, at)]
    try:
        found = model.model_validate(data)
    except ValidationError as error:
        details = [detail for detail in error.errors() if model.may_be_empty or detail["input"] is not None]
        return None, problems + _findings(document, model, data, at, details)
    return (None if problems else found), problems


def _nulls(data: Any, loc: Loc) -> Iterator[Loc]:
    """Where nothing stands."""
    if data is None:
        yield loc
    steps = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for step, value in steps:
        yield from _nulls(value, (*loc, step))


def _empty(document: Document, loc: Loc) -> Problem:
    what = f"{_named(loc)} has no value"
    return document.problem(loc, what, remedy="give it one, or remove the key", of_key=True)


def _findings(
    document: Document, model: type[Declaration], data: Any, at: Loc, details: list[ErrorDetails]
) -> list[Problem]:
    """One finding a place: where several types are allowed, pydantic reports each that did not fit."""
    found: dict[Loc, Problem] = {}
    for detail in details:
        inside = _present(data, detail["loc"], extra=detail["type"] == "missing")
        found.setdefault(inside, _finding(document, model, at, inside, detail))
    return list(found.values())


def _present(data: Any, loc: Loc, *, extra: bool) -> Loc:
    """``loc`` without what pydantic adds to it, such as the type it tried; with one key that is missing."""
    found: list[str | int] = []
    for step in loc:
        inside = isinstance(data, dict) and step in data
        inside = inside or (isinstance(data, list) and isinstance(step, int) and step < len(data))
        if not inside:
            return (*found, loc[-1]) if extra else tuple(found)
        data = data[step]
        found.append(step)
    return tuple(found)


def _finding(document: Document, model: type[Declaration], at: Loc, inside: Loc, error: ErrorDetails) -> Problem:
    loc = (*at, *inside)
    if error["loc"][-1:] == ("[key]",):
        words = next(spot.words for spot in _spots_at(model, inside[:-1], of_keys=True) if spot.words)
        what = f"the key is {shown(inside[-1])}"
        return document.problem(loc, what, allowed=words, remedy="rename it", of_key=True)
    name = _named(loc)
    words = next((spot.words for spot in _spots_at(model, inside) if spot.words), "")
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        known = _keys(model, inside[:-1])
        remedy = meant(inside[-1], known, "remove it")
        return document.problem(loc, f"unknown key {name}", allowed=listed(known), remedy=remedy, of_key=True)
    if kind == "missing":
        return document.problem(loc[:-1], f"{name} is missing", allowed=words, remedy=f"add {inside[-1]}")
    what = f"{name} is {shown(value)}"
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        allowed = f"{listed(known)} ({words})" if words else listed(known)
        in_quotes = f"write {str(value)!r} in quotes" if str(value) in known else ""
        remedy = in_quotes or meant(value, known, "choose one of them")
        return document.problem(loc, what, allowed=allowed, remedy=remedy)
    if kind == "string_pattern_mismatch":
        return document.problem(loc, what, allowed=words or error["ctx"]["pattern"], remedy="rename it")
    allowed = ", ".join(part for part in (_plain(error["msg"]), words) if part)
    return document.problem(loc, what, allowed=allowed, remedy="change it")


def _plain(message: str) -> str:
    """Pydantic's sentence as what is allowed: ``Input should be a valid string`` is ``a valid string``."""
    return re.sub(r"^(Input|String|Value|List|Dictionary) should (be|have) ", "", message)


def _named(loc: Loc) -> str:
    """``parameters[2].label.en_US``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc)
    return text.removeprefix(".") or "the document"


@dataclass(frozen=True, slots=True)
class _Spot:
    """A type that is allowed at a place, and the words for what is allowed there."""

    annotation: Any
    words: str


def _spots(annotation: Any, words: str = "") -> list[_Spot]:
    """The types of an annotation: those of a union one by one."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        described = [part.description for part in arguments[1:] if isinstance(part, FieldInfo) and part.description]
        return _spots(arguments[0], described[0] if described else words)
    if origin in {Union, types.UnionType}:
        return [spot for part in arguments for spot in _spots(part, words)]
    return [_Spot(annotation, words)]


def _spots_at(model: type[BaseModel], loc: Loc, *, of_keys: bool = False) -> list[_Spot]:
    """What is allowed at ``loc``, or for the keys of the mapping there."""
    spots = [_Spot(model, "")]
    for step in loc:
        spots = [inner for spot in spots for inner in _step(spot.annotation, step)]
    if of_keys:
        mappings = (spot.annotation for spot in spots if get_origin(spot.annotation) is dict)
        return [key for mapping in mappings for key in _spots(get_args(mapping)[0])]
    return spots


def _step(annotation: Any, step: str | int) -> list[_Spot]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(step))
        return _spots(field.annotation, field.description or "") if field else []
    return _spots(get_args(annotation)[-1]) if get_origin(annotation) in {list, dict} else []


def _keys(model: type[BaseModel], loc: Loc) -> list[str]:
    """The keys that may stand at ``loc``."""
    found = (spot.annotation for spot in _spots_at(model, loc))
    models = [part for part in found if isinstance(part, type) and issubclass(part, BaseModel)]
    return [key for part in models for key in part.model_fields]
