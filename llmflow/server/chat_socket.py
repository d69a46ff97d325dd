"""A chat session over a WebSocket: questions in, numbered events out."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import WebSocket
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope
from starlette.websockets import WebSocketDisconnect

from llmflow.conversation.history import session_key
from llmflow.conversation.running import ChatEvent, Run
from llmflow.conversation.session import Conversations
from llmflow.errors import AuthenticationError, InvalidInputError, OverloadedError
from llmflow.schema import Principal
from llmflow.server.auth import SUBPROTOCOL, caller
from llmflow.server.errors import as_error, body_of, error_response, request_id_of
from llmflow.server.forms import Departments, Question
from llmflow.server.nouns import narrowed

IDLE_S = 600.0
"""A connection on which nothing happens is closed after so long."""

_NORMAL, _UNSUPPORTED, _POLICY, _TOO_BIG = 1000, 1003, 1008, 1009


class SocketMessage(BaseModel):
    """What a client sends: a question, or the id of the last event it knows (0: none) to resume an answer."""

    model_config = ConfigDict(extra="forbid")

    question: Question | None = None
    departments: Departments = None
    resume: Annotated[int, Field(ge=0)] | None = None


async def serve_socket(websocket: WebSocket, session: str) -> None:
    """Serve a connection until the client goes, nothing happens for long, or the credential is no good any more.

    The client sends ``{"question": ..., "departments": [...]}`` or ``{"resume": ID}`` and gets
    ``{"id": N, "event": ..., "data": ...}`` with the events of
    :meth:`llmflow.conversation.session.Conversations.start`; an error about a message it sent has
    the id null. Pings are the protocol's own and sent by the server. Closing codes: 1000 idle,
    1003 no text, 1008 the credential, 1009 a message too large.
    """
    state = websocket.app.state
    try:
        await run_in_threadpool(_admit, websocket, session)
        if getattr(state, "chat_sockets", 0) >= state.runtime.settings.server.concurrency:
            raise OverloadedError("as many chats are connected as this server takes; try again soon", retry_after_s=5)
    except Exception as exception:
        await websocket.send_denial_response(error_response(websocket.scope, as_error(exception)))
        return
    state.chat_sockets = getattr(state, "chat_sockets", 0) + 1
    try:
        await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in websocket.scope.get("subprotocols", []) else None)
        await _Connection(websocket, session).serve()
    except WebSocketDisconnect:
        pass
    finally:
        state.chat_sockets -= 1


def _admit(websocket: WebSocket, session: str) -> Principal:
    """Who sends this message; asked anew each time, as keys expire and are revoked, and messages count as requests."""
    principal = caller(websocket, None)
    session_key(principal, session)
    return principal


class _Connection:
    """One client: messages are read while the events of one answer are sent."""

    def __init__(self, websocket: WebSocket, session: str) -> None:
        self._websocket = websocket
        self._session = session
        self._conversations: Conversations = websocket.app.state.conversations
        self._body_bytes: int = websocket.app.state.runtime.settings.server.body_kb * 1024
        self._sending: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        receiving = asyncio.create_task(self._websocket.receive())
        try:
            while True:
                waited = {receiving, self._sending} if self._sending else {receiving}
                done, _ = await asyncio.wait(waited, timeout=IDLE_S, return_when=asyncio.FIRST_COMPLETED)
                if not done and self._sending is None:
                    await self._websocket.close(_NORMAL, "idle")
                    return
                if self._sending in done:
                    sent, self._sending = self._sending, None
                    sent.result()
                if receiving in done:
                    message = receiving.result()
                    if message["type"] == "websocket.disconnect" or not await self._take(message):
                        return
                    receiving = asyncio.create_task(self._websocket.receive())
        finally:
            receiving.cancel()
            if self._sending:
                self._sending.cancel()

    async def _take(self, message: Any) -> bool:
        """Do what a message says; False when the connection is over."""
        text = message.get("text")
        if text is None:
            await self._websocket.close(_UNSUPPORTED, "send JSON as text")
            return False
        if len(text.encode()) > self._body_bytes:
            await self._websocket.close(_TOO_BIG, f"messages may have {self._body_bytes} bytes")
            return False
        try:
            principal = await run_in_threadpool(_admit, self._websocket, self._session)
            run, last_id = self._run_of(principal, text)
        except Exception as exception:
            error = as_error(exception)
            await self._send(None, "error", body_of(error, request_id_of(self._websocket.scope)))
            if isinstance(error, AuthenticationError):
                await self._websocket.close(_POLICY, "the credential is not valid any more")
            return not isinstance(error, AuthenticationError)
        if self._sending:
            self._sending.cancel()
        self._sending = asyncio.create_task(self._follow(run, last_id))
        return True

    def _run_of(self, principal: Principal, text: str) -> tuple[Run, int]:
        message = _parse(text)
        if message.question is None:
            return self._conversations.resume(principal, self._session), message.resume or 0
        scope = narrowed(principal.scope, message.departments)
        traceparent = self._websocket.state.traceparent
        return self._conversations.start(principal, self._session, message.question, scope, traceparent), 0

    async def _follow(self, run: Run, last_id: int) -> None:
        async with aclosing(run.follow(last_id)) as events:
            async for event in events:
                await self._send(event.id, event.event, data_of(event, self._websocket.scope))

    async def _send(self, id_: int | None, event: str, data: dict[str, Any]) -> None:
        await self._websocket.send_text(json.dumps({"id": id_, "event": event, "data": data}, ensure_ascii=False))


def data_of(event: ChatEvent, scope: Scope) -> dict[str, Any]:
    """An event's data; an error in the one form."""
    return {**event.data, "request_id": request_id_of(scope)} if event.event == "error" else event.data


def _parse(text: str) -> SocketMessage:
    form = '{"question": "...", "departments": ["..."]} or {"resume": 0}'
    try:
        message = SocketMessage.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInputError(f"{where or 'message'}: {first['msg']}; send {form}", param=where or None) from None
    if (message.question is None) == (message.resume is None):
        raise InvalidInputError(f"a message has either a question or resume; send {form}", param="question")
    return message
