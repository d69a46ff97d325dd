"""Server-sent events: heartbeats while nothing happens, and an end whatever happens."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import anyio
from fastapi import Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from llmflow.server.errors import as_error, body_of, remember, request_id_of

log = logging.getLogger(__name__)

HEARTBEAT_S = 15
SEND_S = 30
"""Seconds a client may leave an event unread; then it counts as gone, lest it keep its place among the requests."""
MEDIA_TYPE = "text/event-stream"
_DRAINING = 0.8
"""Share of the time to stop that streams get; what is left is for closing connections."""


def wants_events(request: Request) -> bool:
    """Whether the client asks for events by its Accept header."""
    return MEDIA_TYPE in request.headers.get("accept", "")


def event(name: str | None, data: Any) -> ServerSentEvent:
    """An event whose data is JSON; text goes as it is."""
    return ServerSentEvent(data if isinstance(data, str) else json.dumps(data, ensure_ascii=False), event=name)


def events_response(
    request: Request,
    events: AsyncGenerator[ServerSentEvent, None] | AsyncGenerator[bytes, None],
    error_name: str | None = "error",
    *,
    finishes: bool = True,
) -> EventSourceResponse:
    """Send events; an exception becomes the last one, in the one form of errors.

    The generator is closed when the client goes or reads nothing for 30 s. When the server stops, events that finish by
    themselves have most of ``server.drain_s`` to do so; others end at once.

    Args:
        events: events, or the bytes of whole ones.
        error_name: the name of an exception's event; None for one without a name.
        finishes: whether the events finish soon by themselves.
    """

    async def guarded() -> AsyncIterator[ServerSentEvent | bytes]:
        async with aclosing(events):
            try:
                async for each in events:
                    yield each
            except Exception as exception:
                error = as_error(exception)
                remember(request.scope, error)
                yield event(error_name, body_of(error, request_id_of(request.scope)))

    grace_s = _DRAINING * request.app.state.runtime.settings.server.drain_s if finishes else 0.0
    return _Events(
        guarded(),
        ping=HEARTBEAT_S,
        sep="\n",
        send_timeout=SEND_S,
        shutdown_event=anyio.Event(),
        shutdown_grace_period=grace_s,
    )


class _Events(EventSourceResponse):
    """A client that does not read is as good as gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            log.info("a client reads no events; its stream is closed")
