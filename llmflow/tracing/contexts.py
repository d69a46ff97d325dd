"""Keeps the current step current where Python would lose or mix it: in threads and in generators."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Generator, Iterator
from functools import wraps
from types import TracebackType
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


def in_current_trace(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` for another thread: what it observes belongs to the step that is current now.

    A thread starts without a trace, so functions handed to a ThreadPoolExecutor go through here:
    ``pool.map(in_current_trace(search_leg), legs)``.
    """
    context = contextvars.copy_context()

    @wraps(function)
    def within(*args: P.args, **kwargs: P.kwargs) -> R:
        # A context can be entered once at a time, and several threads may run the function.
        return context.copy().run(function, *args, **kwargs)

    return within


def in_own_context(function: Callable[P, Iterator[R]]) -> Callable[P, Generator[R, None, None]]:
    """Decorates a generator function that yields within a step.

    A plain generator leaves its step current in whoever takes its values, and two of them taken
    in turns nest into each other. This one runs in a copy of the context it was called in: its
    values may be taken in any thread and any order, and the taker's own step stays as it is.
    """

    @wraps(function)
    def apart(*args: P.args, **kwargs: P.kwargs) -> Generator[R, None, None]:
        return _Apart(cast(Generator[R, None, None], function(*args, **kwargs)))

    return apart


class _Apart(Generator[R, None, None]):
    def __init__(self, values: Generator[R, None, None]) -> None:
        self._values = values
        self._context = contextvars.copy_context()

    def send(self, value: None) -> R:
        return self._context.run(next, self._values)

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: BaseException | object = None,
        trace: TracebackType | None = None,
    ) -> R:
        return self._context.run(self._values.throw, kind)

    def close(self) -> None:
        self._context.run(self._values.close)

    def __del__(self) -> None:
        # Left to itself, a generator nobody finished would end its steps in the context of whoever drops it.
        self.close()
