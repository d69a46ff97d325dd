"""Answers as server-sent events: ``delta``, ``discarded``, then ``finished`` or ``error``."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from fastapi import Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from llmflow.server.errors import as_error, body_of, request_id_of

HEARTBEAT_S = 15
MEDIA_TYPE = "text/event-stream"


def wants_events(request: Request) -> bool:
    """Whether the client asks for events by its Accept header."""
    return MEDIA_TYPE in request.headers.get("accept", "")


def event(name: str | None, data: Any) -> ServerSentEvent:
    """An event whose data is JSON, or text as it is."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, default=str)
    return ServerSentEvent(text, event=name)


def events_response(
    request: Request, events: AsyncGenerator[ServerSentEvent, None], error_name: str | None = "error"
) -> EventSourceResponse:
    """Send events, with heartbeats between them; an exception becomes the last event, in the one form of errors.

    The generator is closed when the client goes or the server stops.
    """

    async def guarded() -> AsyncIterator[ServerSentEvent]:
        async with aclosing(events):
            try:
                async for each in events:
                    yield each
            except Exception as exception:
                yield event(error_name, body_of(as_error(exception), request_id_of(request.scope)))

    return EventSourceResponse(guarded(), ping=HEARTBEAT_S, sep="\n")


def as_data(value: Any) -> Any:
    """A noun as the JSON every interface shows."""
    return asdict(value)
