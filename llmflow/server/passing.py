"""Completions by the endpoint's own models: passed through, neither held nor changed on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Send
from starlette.types import Scope as Connection

from llmflow.errors import UpstreamError
from llmflow.logs import note
from llmflow.models.gateway import Gateway
from llmflow.models.passing import PassedAnswer
from llmflow.runtime import Runtime
from llmflow.schema import Scope
from llmflow.server.sse import events_response
from llmflow.tracing import Observation

T = TypeVar("T")

_SHOWN = 8000
"""Characters of a message that a trace shows; of longer ones it has the length."""


class PassedOn(Response):
    """A completion as the endpoint writes it; the call is made when the response is sent.

    So one task opens the call and the step of the trace, and closes both, however the response ends.

    Args:
        scope: whose call it is.
        model: what ``body`` asks for.
        body: the request as it came.
        messages: those of ``body``.
    """

    def __init__(
        self, request: Request, gateway: Gateway, scope: Scope, model: str, body: bytes, messages: list[dict[str, Any]]
    ) -> None:
        super().__init__()
        self._request = request
        self._gateway = gateway
        self._scope = scope
        self._model = model
        self._body = body
        self._messages = messages

    async def __call__(self, connection: Connection, receive: Receive, send: Send) -> None:
        """Make the call and send what comes of it."""
        request, runtime = self._request, self._request.app.state.runtime
        said = await asyncio.to_thread(_last_said, runtime, self._messages) if runtime.tracer.is_recording else None
        with (
            runtime.tracer.acting(self._scope, request.state.traceparent),
            runtime.tracer.observe("complete", kind="generation", input=said) as step,
        ):
            note(trace_id=step.trace_id)
            try:
                opening = self._gateway.open(self._model, self._body)
                async with aclosing(await while_connected(request, opening)) as answer:
                    response = await self._response(answer, step)
                    await response(connection, receive, send)
                    _trace_end(step, answer)
            except ClientDisconnect:
                step.update(warning="the client went before the answer began")
            finally:
                if self._gateway.has_listed(self._model):  # another name may be anything a caller wrote
                    step.update(model=self._model)

    async def _response(self, answer: PassedAnswer, step: Observation) -> Response:
        if answer.is_stream:
            return events_response(self._request, _traced_events(answer, step), error_name=None)
        return Response(await while_connected(self._request, answer.read()), media_type="application/json")


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """The result of ``work``, which is cancelled when the client goes.

    Raises:
        ClientDisconnect: it went.
    """
    working = asyncio.ensure_future(work)
    going = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((working, going), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        for task in (working, going):
            task.cancel()
        await asyncio.gather(working, going, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _traced_events(answer: PassedAnswer, step: Observation) -> AsyncGenerator[bytes, None]:
    async with aclosing(answer.events()) as events:
        try:
            async for each in events:
                yield each
        except UpstreamError as error:
            step.update(warning=error.message)
            raise


def _trace_end(step: Observation, answer: PassedAnswer) -> None:
    """What the endpoint said beside the answer."""
    if answer.usage:
        step.update(usage={"input": answer.usage.prompt_tokens, "output": answer.usage.completion_tokens})
    if answer.failure:
        step.update(warning=answer.failure)


def _last_said(runtime: Runtime, messages: list[dict[str, Any]]) -> str | None:
    """The text of the last user message, masked."""
    for message in reversed(messages):
        if message.get("role") == "user":
            text = _text(message.get("content"))
            return runtime.masker.mask(text).text if len(text) <= _SHOWN else f"({len(text):,} characters)"
    return None


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
    return content if isinstance(content, str) else ""
