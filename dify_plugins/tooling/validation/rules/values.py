"""What a user may choose, and what is chosen beforehand: alike for parameters, credentials and models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dify_plugins.tooling.validation.document import Document, Loc
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown

_WORDS = {str: "a text", int: "a number", float: "a number", bool: "true or false"}
_NUMBERS = {int, float}


@dataclass(frozen=True, slots=True)
class Value:
    """A value that a user sets.

    Attributes:
        name: as findings begin, e.g. ``parameter top_k``.
        kind: its type, as the file says it.
        defaults: the Python types of a default; none if it may have no default.
        has_options: true if it must have some, false if it must not, none if it may.
    """

    document: Document
    at: Loc
    name: str
    kind: str
    defaults: tuple[type, ...]
    has_options: bool | None
    options: Sequence[str]
    default: str | int | float | bool | None
    min: int | float | None = None
    max: int | float | None = None

    def problem(self, loc: Loc, what: str, *, remedy: str, allowed: str = "") -> Problem:
        """A finding below the value, which is named with it."""
        return self.document.problem((*self.at, *loc), f"{self.name}: {what}", remedy=remedy, allowed=allowed)

    def problems(self) -> Iterator[Problem]:
        """Options where there is something to choose, bounds in order, and a default that a user could choose."""
        yield from self._options()
        if self.min is not None and self.max is not None and self.min > self.max:
            yield self.problem(("min",), f"min {self.min} is over max {self.max}", remedy="swap them")
        if self.default is not None:
            yield from self._default(self.default)

    def _options(self) -> Iterator[Problem]:
        if self.has_options and not self.options:
            remedy = "add options, each with value and label"
            yield self.problem(("type",), f"a {self.kind} without options", remedy=remedy)
        if self.has_options is False and self.options:
            what = f"it has options, and its type is {self.kind}"
            yield self.problem(("options",), what, remedy="make it a select, or remove them")
        for index, option in enumerate(self.options):
            if option in self.options[:index]:
                what = f"the option {shown(option)} stands here a second time"
                yield self.problem(("options", index, "value"), what, remedy="keep one of the two")

    def _default(self, default: str | int | float | bool) -> Iterator[Problem]:
        loc: Loc = ("default",)
        if not self.defaults:
            yield self.problem(loc, f"it has a default, and its type is {self.kind}", remedy="remove it")
        elif type(default) not in self.defaults:
            what = f"its default is {shown(default)}, and its type is {self.kind}"
            allowed = listed({_WORDS[kind] for kind in self.defaults})
            yield self.problem(loc, what, allowed=allowed, remedy="change it, or its quotes")
        elif self.options and default not in self.options:
            what = f"its default {shown(default)} is not among its options"
            remedy = meant(default, self.options, "choose one")
            yield self.problem(loc, what, allowed=listed(self.options), remedy=remedy)
        elif type(default) in _NUMBERS and not within(default, self.min, self.max):
            allowed = f"{'' if self.min is None else self.min} to {'' if self.max is None else self.max}"
            yield self.problem(loc, f"its default is {default}", allowed=allowed, remedy="change one of them")


def within(value: object, low: int | float | None, high: int | float | None) -> bool:
    """Whether a number is between two bounds, of which each may be left out."""
    return isinstance(value, int | float) and (low is None or value >= low) and (high is None or value <= high)
