"""Chat sessions: by server-sent events or WebSocket, with answers that survive a lost connection."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request, Response, WebSocket
from pydantic import BaseModel, ConfigDict
from sse_starlette import ServerSentEvent

from llmflow.conversation.messages import ChatMessage
from llmflow.conversation.running import Run
from llmflow.conversation.session import Conversations
from llmflow.errors import InvalidInputError
from llmflow.server.auth import Reader
from llmflow.server.chat_socket import data_of, serve_socket
from llmflow.server.forms import Departments, ErrorResponse, Question
from llmflow.server.nouns import narrowed
from llmflow.server.openapi import content, errors, example
from llmflow.server.sse import MEDIA_TYPE, event, events_response

router = APIRouter(tags=["chat"])

Session = Annotated[
    str,
    Path(
        pattern="^[A-Za-z0-9_-]{1,64}$",
        description="Any name the client gives the session; nobody else's session has it.",
        examples=["a1b2c3"],
    ),
]

_EVENTS = """id: 1793612345678
event: rewritten
data: {"question": "해외 출장 숙박비 한도는 얼마인가요?"}

id: 1793612345679
event: delta
data: {"text": "문서에서 그대로 인용한 내용입니다."}

id: 1793612345680
event: finished
data: {"text": "...", "citations": [], "mode": "extractive"}

"""
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "The answer as it is made", **content(_EVENTS, MEDIA_TYPE)}
}
_BUSY: dict[str, Any] = {"model": ErrorResponse, "description": "The session is still answering the question before."}


class ChatRequest(BaseModel):
    """A question in a session; what was said before is known."""

    model_config = ConfigDict(extra="forbid")

    question: Question
    departments: Departments = None


class ChatHistory(BaseModel):
    """A session. ``running`` says that an answer is under way, which can be resumed."""

    session: str
    messages: list[ChatMessage]
    running: bool


@router.post(
    "/v1/chat/{session}",
    operation_id="chat",
    summary="Ask in a session",
    response_class=Response,
    responses={**_STREAM, 409: _BUSY, **errors()},
)
async def ask(request: Request, caller: Reader, session: Session, body: ChatRequest) -> Response:
    """The answer as server-sent events with growing ids.

    `rewritten` (`{"question"}`: what a follow-up question was understood as), `delta` (`{"text"}`), `discarded`
    (`{"reason"}`: the text so far is void), and last `finished` (the whole answer) or `error`. The answer goes on
    when the connection is lost; `GET /v1/chat/{session}/events` resumes it.
    """
    scope = narrowed(caller.scope, body.departments)
    run = _conversations(request).start(caller, session, body.question, scope, request.state.traceparent)
    return events_response(request, _events(request, run, 0))


@router.get(
    "/v1/chat/{session}/events",
    operation_id="resume_chat",
    summary="Resume a running answer",
    response_class=Response,
    responses={**_STREAM, **errors(404)},
)
async def resume(
    request: Request,
    caller: Reader,
    session: Session,
    last_event_id: Annotated[str | None, Header(description="The last event known; without it all come.")] = None,
) -> Response:
    """What follows the last event known, of an answer that is under way or ended in the last minutes."""
    if last_event_id and not (last_event_id.isascii() and last_event_id.isdecimal()):
        raise InvalidInputError(
            f"Last-Event-ID is {last_event_id[:40]!r}; send the id of an event, which is a number",
            param="last-event-id",
        )
    run = _conversations(request).resume(caller, session)
    return events_response(request, _events(request, run, int(last_event_id or 0)))


_HISTORY = ChatHistory(
    session="a1b2c3",
    messages=[ChatMessage("7a1f0c7de2a34c0d", "user", "숙박비 한도는?", datetime(2026, 11, 2, 9, 30, tzinfo=UTC), 5)],
    running=False,
)


@router.get(
    "/v1/chat/{session}",
    operation_id="chat_history",
    summary="Read a session",
    responses={200: example(_HISTORY), **errors()},
)
def history(request: Request, caller: Reader, session: Session) -> ChatHistory:
    """Questions and answers, oldest first, with personal data masked; a session that does not exist is empty."""
    conversations = _conversations(request)
    messages = conversations.messages(caller, session)
    return ChatHistory(session=session, messages=messages, running=conversations.answering(caller, session))


@router.delete(
    "/v1/chat/{session}", operation_id="forget_chat", summary="Forget a session", status_code=204, responses=errors()
)
def forget(request: Request, caller: Reader, session: Session) -> None:
    """Stops the answer under way and removes what was said."""
    _conversations(request).clear(caller, session)


@router.websocket("/v1/chat/{session}")
async def socket(websocket: WebSocket, session: str) -> None:
    """See :func:`llmflow.server.chat_socket.serve_socket`."""
    await serve_socket(websocket, session)


def _conversations(request: Request) -> Conversations:
    conversations: Conversations = request.app.state.conversations
    return conversations


async def _events(request: Request, run: Run, last_id: int) -> AsyncGenerator[ServerSentEvent, None]:
    async with aclosing(run.follow(last_id)) as events:
        async for each in events:
            shown = event(each.event, data_of(each, request.scope))
            shown.id = str(each.id)
            yield shown
