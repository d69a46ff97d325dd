"""Ingestion jobs, also as they go on."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, fields
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from sse_starlette import ServerSentEvent

from llmflow.errors import NotFoundError
from llmflow.runtime import Runtime
from llmflow.schema import Document, Job, JobStatus, Scope
from llmflow.server import examples
from llmflow.server.auth import Reader
from llmflow.server.nouns import as_json, noun_response
from llmflow.server.openapi import content, errors, example
from llmflow.server.sse import MEDIA_TYPE, event, events_response, wants_events

router = APIRouter(tags=["documents"])

_ID = re.compile("[0-9a-f]{32}")
_POLL_S = 0.3
_ENDED = (JobStatus.DONE, JobStatus.FAILED)


@dataclass(frozen=True, slots=True)
class JobDetails(Job):
    """A job and its document. ``stage`` is the last completed of keep, parse, chunk, mask, embed and store."""

    document: Document | None = None

    @classmethod
    def of(cls, job: Job, document: Document) -> JobDetails:
        """A job as the API gives it."""
        return cls(**{field.name: getattr(job, field.name) for field in fields(Job)}, document=document)


_EXAMPLE = JobDetails.of(examples.JOB, examples.DOCUMENT)
_EVENTS = """event: progress
data: {"id": "e4d909c290d0fb1ca068ffaddf22cbd0", "status": "running", "stage": "parse"}

event: progress
data: {"id": "e4d909c290d0fb1ca068ffaddf22cbd0", "status": "done", "stage": "store"}

event: end
data: {}

"""
_DOCUMENTED = example(_EXAMPLE)
_DOCUMENTED["content"] |= content(_EVENTS, MEDIA_TYPE)["content"]


@router.get(
    "/v1/jobs/{job_id}",
    operation_id="get_job",
    summary="A job",
    response_model=JobDetails,
    responses={200: _DOCUMENTED, **errors(404)},
)
async def one(
    request: Request,
    caller: Reader,
    job_id: Annotated[str, Path(description="The job's id, all of it.", examples=[examples.JOB.id])],
) -> Response:
    """A job and its document.

    With `Accept: text/event-stream` as events: `progress` (the job) now and at each change of its status or stage,
    and `end` once it has ended.
    """
    runtime: Runtime = request.app.state.runtime
    found = await run_in_threadpool(_job, runtime, caller.scope, job_id)
    if wants_events(request):
        return events_response(request, _progress(runtime, caller.scope, found), finishes=False)
    return noun_response(found)


async def _progress(runtime: Runtime, scope: Scope, found: JobDetails) -> AsyncGenerator[ServerSentEvent, None]:
    yield event("progress", as_json(found).decode())
    while found.status not in _ENDED:
        await asyncio.sleep(_POLL_S)
        now = await run_in_threadpool(_job, runtime, scope, found.id)
        if (now.status, now.stage) != (found.status, found.stage):
            yield event("progress", as_json(now).decode())
        found = now
    yield event("end", {})


def _job(runtime: Runtime, scope: Scope, job_id: str) -> JobDetails:
    absent = NotFoundError(f"no job with the id {job_id[:100]!r}", param="job_id")
    if not _ID.fullmatch(job_id):
        raise absent
    try:
        return JobDetails.of(*runtime.database.job(scope, job_id))
    except NotFoundError:
        raise absent from None
