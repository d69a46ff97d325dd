"""An answer to a question, whole or as it is made."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from fastapi import APIRouter, Request, Response
from sse_starlette import ServerSentEvent

from llmflow.generation.answer import AnswerEvent, Discarded, Finished, TextDelta
from llmflow.server import examples
from llmflow.server.answers import answer_events, whole_answer
from llmflow.server.auth import Reader
from llmflow.server.forms import AnswerRequest, AnswerResponse
from llmflow.server.nouns import as_json, narrowed, noun_response
from llmflow.server.openapi import content, errors, example
from llmflow.server.sse import MEDIA_TYPE, event, events_response, wants_events

router = APIRouter(tags=["questions"])

_DOCUMENTED = example(examples.ANSWER)
_DOCUMENTED["content"] |= content(examples.EVENTS, MEDIA_TYPE)["content"]


@router.post(
    "/v1/answer",
    operation_id="answer",
    summary="Answer a question",
    response_model=AnswerResponse,
    responses={200: _DOCUMENTED, **errors()},
)
async def answer(request: Request, caller: Reader, body: AnswerRequest) -> Response:
    """An answer from the documents, with citations.

    With `stream: true` or `Accept: text/event-stream` it comes as events: `delta` (`{"text"}`),
    `discarded` (`{"reason"}`: the text so far is void), and last `finished` (the whole answer) or
    `error` (the one form of errors).
    """
    scope = narrowed(caller.scope, body.departments)
    events = answer_events(request, scope, body.question, body.top_k, cache=body.cache)
    if body.stream or wants_events(request):
        return events_response(request, _shown(events))
    finished = await whole_answer(events)
    return noun_response(AnswerResponse.of(finished))


async def _shown(events: AsyncGenerator[AnswerEvent, None]) -> AsyncGenerator[ServerSentEvent, None]:
    async for each in events:
        match each:
            case TextDelta(text):
                yield event("delta", {"text": text})
            case Discarded(reason):
                yield event("discarded", {"reason": reason})
            case Finished():
                yield event("finished", as_json(AnswerResponse.of(each)).decode())
