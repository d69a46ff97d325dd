"""Threads for the work of questions, so that it never delays the event loop or small requests."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from fastapi import Request

from llmflow.schema import Scope

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class _End:
    """After the last event; with the exception that ended the events early, if one did."""

    def __init__(self, failure: BaseException | None) -> None:
        self.failure = failure


class Workers:
    """A bounded pool. What runs in it has the context variables of its caller.

    Args:
        threads: pieces of work done side by side; further ones wait.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="question")

    @property
    def executor(self) -> Executor:
        """The pool itself, for who has a way of its own to wait for results."""
        return self._pool

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of ``function``, run in a thread of the pool."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, lambda: context.run(function, *args, **kwargs)
        )

    async def stream(self, generate: Callable[[], Generator[T, None, None]]) -> AsyncGenerator[T, None]:
        """The events of a generator that runs in one thread of the pool from beginning to end.

        When the consumer goes, the generator is closed at its next event.
        """
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[T | _End] = asyncio.Queue()
        gone = threading.Event()

        def tell(event: T | _End) -> None:
            try:
                loop.call_soon_threadsafe(events.put_nowait, event)
            except RuntimeError:  # the loop was closed: nobody listens any more
                gone.set()

        def produce() -> None:
            failure: BaseException | None = None
            generator = generate()
            try:
                while not gone.is_set():
                    tell(next(generator))
            except StopIteration:
                pass
            except BaseException as error:
                failure = error
            finally:
                generator.close()
                tell(_End(failure))

        running = self._pool.submit(contextvars.copy_context().run, produce)
        try:
            while not isinstance(event := await events.get(), _End):
                yield event
            if event.failure is not None:
                raise event.failure
        finally:
            gone.set()
            running.cancel()

    def close(self) -> None:
        """Refuse further work and wait for what runs."""
        self._pool.shutdown(cancel_futures=True)


async def in_worker(request: Request, scope: Scope, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The result of ``function`` in a worker thread, its trace being the caller's."""
    state = request.app.state

    def acting() -> R:
        with state.runtime.tracer.acting(scope, request.state.traceparent):
            return function(*args, **kwargs)

    result: R = await state.workers.run(acting)
    return result


def stream_in_worker(request: Request, scope: Scope, generate: Callable[[], Iterator[T]]) -> AsyncGenerator[T, None]:
    """The events of ``generate`` from a worker thread, their trace being the caller's."""
    state = request.app.state

    def acting() -> Generator[T, None, None]:
        with state.runtime.tracer.acting(scope, request.state.traceparent):
            yield from generate()

    events: AsyncGenerator[T, None] = state.workers.stream(acting)
    return events
