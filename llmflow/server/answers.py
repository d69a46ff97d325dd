"""Answers for the routes that give them: from the runtime's generator to asynchronous events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from fastapi import Request

from llmflow.conversation.messages import ChatMessage
from llmflow.generation.answer import AnswerEvent, Finished
from llmflow.logs import note
from llmflow.schema import Scope
from llmflow.server.workers import stream_in_worker


async def answer_events(
    request: Request,
    scope: Scope,
    question: str,
    top_k: int | None = None,
    *,
    cache: bool = True,
    said: Sequence[ChatMessage] = (),
) -> AsyncGenerator[AnswerEvent, None]:
    """The events of an answer, made in a worker thread; whoever stops listening stops the work.

    Args:
        cache: whether an answer given before will do.
        said: the conversation before the question.
    """
    state = request.app.state

    def generate() -> Iterator[AnswerEvent]:
        understood = state.dialogue.understand(question, said)
        events = state.runtime.ask_streaming(scope, understood.question, top_k, cache=cache, history=understood.history)
        for event in events:
            if isinstance(event, Finished) and understood.degradations:
                degradations = (*understood.degradations, *event.answer.degradations)
                event = replace(event, answer=replace(event.answer, degradations=degradations))
            yield event

    async with aclosing(stream_in_worker(request, scope, generate)) as events:
        async for event in events:
            if isinstance(event, Finished):
                state.metrics.observe_answer(event)
                note(trace_id=event.answer.trace_id)
            yield event


async def whole_answer(events: AsyncGenerator[AnswerEvent, None]) -> Finished:
    """The last event."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Finished):
                return event
    raise AssertionError("an answer ends with Finished")
