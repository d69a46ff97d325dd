"""Answers under way: numbered events that any number of listeners follow, late ones from where they were."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from llmflow.errors import ConflictError, NotFoundError, OverloadedError

EventName = Literal["rewritten", "delta", "discarded", "finished", "error"]


@dataclass(frozen=True, slots=True)
class ChatEvent:
    """``id`` grows within a session, also from one answer to the next and over a restart; ``data`` is JSON."""

    id: int
    event: EventName
    data: dict[str, Any]


class Run:
    """One answer under way, written by one thread and followed by many."""

    def __init__(self, first_id: int) -> None:
        self.cancelled = False
        self.ended_at: float | None = None
        self._events: list[ChatEvent] = []
        self._next_id = first_id
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._listeners: set[Callable[[], None]] = set()

    @property
    def last_id(self) -> int:
        """The id of the last event so far."""
        return self._next_id - 1

    def add(self, event: EventName, data: dict[str, Any]) -> None:
        """Tell everybody; nothing happens once the run has ended."""
        with self._lock:
            if self.ended_at is None:
                self._events.append(ChatEvent(self._next_id, event, data))
                self._next_id += 1
        self._wake()

    def end(self) -> None:
        """There will be no more events."""
        with self._lock:
            if self.ended_at is None:
                self.ended_at = time.monotonic()
        self._wake()

    def cancel(self) -> None:
        """Stop the answer before its next piece; what it would have saved is not saved any more."""
        with self._saving:
            self.cancelled = True

    def unless_cancelled(self, save: Callable[[], None]) -> None:
        """Save; a cancellation comes before it or waits for it."""
        with self._saving:
            if not self.cancelled:
                save()

    def since(self, last_id: int) -> tuple[list[ChatEvent], bool]:
        """The events after ``last_id`` so far, and whether they are the last."""
        with self._lock:
            return [event for event in self._events if event.id > last_id], self.ended_at is not None

    async def follow(self, last_id: int = 0) -> AsyncGenerator[ChatEvent, None]:
        """The events after ``last_id``, as they come, until the end."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the listener's loop is closed: nobody listens
                loop.call_soon_threadsafe(news.set)

        with self._listening(wake):
            while True:
                news.clear()
                events, ended = self.since(last_id)
                for event in events:
                    yield event
                    last_id = event.id
                if ended:
                    return
                await news.wait()

    @contextmanager
    def _listening(self, wake: Callable[[], None]) -> Iterator[None]:
        with self._lock:
            self._listeners.add(wake)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.discard(wake)

    def _wake(self) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for wake in listeners:
            wake()


class Running:
    """The runs of this process by session; ended ones stay for those who lost their connection.

    Args:
        keep_s: how long an ended run can be replayed.
        most: runs kept; the oldest ended ones go first.
    """

    def __init__(self, keep_s: float = 300.0, most: int = 512) -> None:
        self._keep_s = keep_s
        self._most = most
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()

    def begin(self, key: str) -> Run:
        """A run for a session.

        Raises:
            ConflictError: the session has one already.
            OverloadedError: as many as can be are under way.
        """
        with self._lock:
            self._drop_old()
            before = self._runs.get(key)
            if before is not None and before.ended_at is None:
                raise ConflictError(
                    "this session is still answering the question before; follow or resume that answer, delete the"
                    " session, or ask in another one",
                    param="session",
                )
            if before is None and len(self._runs) >= self._most and not self._drop_one():
                raise OverloadedError(
                    f"{self._most} chat answers are under way, which is all this server keeps; try again shortly",
                    retry_after_s=5,
                )
            # Milliseconds since 1970 are beyond any id the session had before a restart.
            first = max(before.last_id + 1 if before else 0, time.time_ns() // 1_000_000)
            self._runs.pop(key, None)
            self._runs[key] = run = Run(first)
            return run

    def get(self, key: str) -> Run:
        """The run of a session.

        Raises:
            NotFoundError: it has none, or none any more.
        """
        with self._lock:
            self._drop_old()
            if key not in self._runs:
                raise NotFoundError("this session has no answer to resume; its history holds what was answered")
            return self._runs[key]

    def drop(self, key: str) -> None:
        """Cancel and forget a session's run, if it has one."""
        with self._lock:
            run = self._runs.pop(key, None)
        if run is not None:
            run.cancel()
            run.end()

    def under_way(self) -> list[Run]:
        """The runs that have not ended."""
        with self._lock:
            return [run for run in self._runs.values() if run.ended_at is None]

    def _drop_old(self) -> None:
        oldest = time.monotonic() - self._keep_s
        for key in [key for key, run in self._runs.items() if run.ended_at is not None and run.ended_at < oldest]:
            del self._runs[key]

    def _drop_one(self) -> bool:
        key = next((key for key, run in self._runs.items() if run.ended_at is not None), None)
        if key is not None:
            del self._runs[key]
        return key is not None
