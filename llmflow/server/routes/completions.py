"""OpenAI's chat completions: what any chat client can talk to, and the endpoint's own models behind it.

Form: https://platform.openai.com/docs/api-reference/chat. The answer's evidence is in
``message.citations``, what else is known of it in the top-level ``llmflow``.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from sse_starlette import ServerSentEvent

from llmflow.conversation.messages import ChatMessage
from llmflow.errors import InvalidInputError
from llmflow.generation.answer import AnswerEvent, Discarded, Finished, TextDelta
from llmflow.korean import count_tokens
from llmflow.schema import Answer
from llmflow.server import examples
from llmflow.server.answers import answer_events, whole_answer
from llmflow.server.auth import Reader
from llmflow.server.foreign_forms import AnyCompletionRequest, Completion, CompletionRequest, EndpointCompletion
from llmflow.server.openapi import errors
from llmflow.server.passing import PassedOn
from llmflow.server.routes.served import MODEL, no_endpoint
from llmflow.server.sse import MEDIA_TYPE, event, events_response

router = APIRouter(tags=["chat"])


@router.post(
    "/v1/chat/completions",
    operation_id="create_chat_completion",
    summary="Chat completion",
    response_model=Completion | EndpointCompletion,
    responses={
        200: {
            "description": "Successful response",
            "content": {
                "application/json": {"example": examples.COMPLETION},
                MEDIA_TYPE: {"example": examples.CHUNKS},
            },
        },
        **errors(404),
    },
)
async def complete(request: Request, caller: Reader, body: AnyCompletionRequest) -> Response:
    """`llmflow` answers the last user message from the documents; earlier messages are the conversation so far.

    Any other model that `GET /v1/models` lists gets the request as it is (tools, `response_format` and all), and its
    answer comes back as it is.

    `llmflow` ignores fields of OpenAI's that mean nothing to it. `message.citations` (streamed: in the last chunk's
    `delta.citations`) are the evidence; `llmflow` has mode, trace id, degradations and unsupported sentences. A failing
    LLM voids streamed text: the chunk's `llmflow.discarded` says so.
    """
    if body.model != MODEL:
        runtime = request.app.state.runtime
        if runtime.gateway is None:
            raise no_endpoint(body.model)
        return PassedOn(request, runtime.gateway, caller.scope, body.model, await request.body(), body.messages)
    asked = _own(body)
    *said, question = _conversation(asked)
    completion = _Completion(asked, sum(message.tokens for message in (*said, question)))
    events = answer_events(request, caller.scope, question.content, said=said)
    if body.stream:
        return events_response(request, completion.chunks(events), error_name=None)
    return JSONResponse(completion.whole((await whole_answer(events)).answer))


def _own(body: AnyCompletionRequest) -> CompletionRequest:
    """What we read of a request."""
    try:
        return CompletionRequest.model_validate(body.model_dump(exclude_unset=True))
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in error.errors()]) from None


def _conversation(body: CompletionRequest) -> list[ChatMessage]:
    """What users and we said; the question is the last."""
    if body.n not in (None, 1):
        raise InvalidInputError(f"n is {body.n}; allowed is 1, as there is one answer to a question", param="n")
    asked = [number for number, message in enumerate(body.messages) if message.role == "user"]
    if not asked or not body.messages[asked[-1]].text.strip():
        raise InvalidInputError("there is no user message with text; the last one is the question", param="messages")
    now = datetime.now(UTC)
    return [
        ChatMessage(str(number), message.role, message.text, now, count_tokens(message.text))
        for number, message in enumerate(body.messages[: asked[-1] + 1])
        if message.role in ("user", "assistant") and message.text
    ]


class _Completion:
    """The forms of one completion."""

    def __init__(self, body: CompletionRequest, prompt_tokens: int) -> None:
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._prompt_tokens = prompt_tokens
        self._counts_usage = bool(body.stream_options and body.stream_options.include_usage)

    def whole(self, answer: Answer) -> dict[str, Any]:
        """All of it at once."""
        message = {"role": "assistant", "content": answer.text, "refusal": None, "citations": _citations(answer)}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return self._form("chat.completion", [choice], usage=self._usage(answer), llmflow=_more(answer))

    async def chunks(self, events: AsyncGenerator[AnswerEvent, None]) -> AsyncGenerator[ServerSentEvent, None]:
        """Piece by piece, ending with ``[DONE]``."""
        yield self._chunk({"role": "assistant", "content": ""})
        async for each in events:
            match each:
                case TextDelta(text):
                    yield self._chunk({"content": text})
                case Discarded(reason):
                    yield self._chunk({"content": "\n\n"}, llmflow={"discarded": reason})
                case Finished():
                    answer = each.answer
                    yield self._chunk({"citations": _citations(answer)}, "stop", llmflow=_more(answer))
                    if self._counts_usage:
                        yield event(None, self._form("chat.completion.chunk", [], usage=self._usage(answer)))
                    yield event(None, "[DONE]")

    def _chunk(self, delta: dict[str, Any], finish: str | None = None, **more: Any) -> ServerSentEvent:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if self._counts_usage else {}
        return event(None, self._form("chat.completion.chunk", [choice], **usage, **more))

    def _form(self, kind: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        head = {"id": self._id, "object": kind, "created": self._created, "model": MODEL}
        return {**head, "choices": choices, **more}

    def _usage(self, answer: Answer) -> dict[str, int]:
        """Tokens of question, history and answer, in LLMFlow's own count."""
        written = count_tokens(answer.text)
        return {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": written,
            "total_tokens": self._prompt_tokens + written,
        }


def _citations(answer: Answer) -> list[dict[str, Any]]:
    return [asdict(citation) for citation in answer.citations]


def _more(answer: Answer) -> dict[str, Any]:
    return {
        "mode": answer.mode,
        "trace_id": answer.trace_id,
        "degradations": [asdict(degradation) for degradation in answer.degradations],
        "unsupported": list(answer.unsupported),
    }
