"""Answers for the routes that give them: from the runtime's generator to asynchronous events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from fastapi import Request

from llmflow.generation.answer import AnswerEvent, Finished
from llmflow.schema import Scope
from llmflow.server.workers import stream_in_worker


async def answer_events(
    request: Request, scope: Scope, question: str, top_k: int | None = None, *, cache: bool = True
) -> AsyncGenerator[AnswerEvent, None]:
    """The events of an answer, made in a worker thread; whoever stops listening stops the work."""
    state = request.app.state

    def generate() -> Iterator[AnswerEvent]:
        events: Iterator[AnswerEvent] = state.runtime.ask_streaming(scope, question, top_k)
        return events

    async with aclosing(stream_in_worker(request, scope, generate)) as events:
        async for event in events:
            if isinstance(event, Finished):
                state.metrics.observe_answer(event)
            yield event


async def whole_answer(events: AsyncGenerator[AnswerEvent, None]) -> Finished:
    """The last event."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Finished):
                return event
    raise AssertionError("an answer ends with Finished")
