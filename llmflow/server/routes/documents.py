"""Documents in, looked at and out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, BinaryIO
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from llmflow.errors import NotFoundError
from llmflow.runtime import Runtime
from llmflow.schema import Chunk, Document, DocumentStatus, Job, JobStatus, Scope
from llmflow.server import examples
from llmflow.server.auth import Editor, Reader
from llmflow.server.nouns import noun_response
from llmflow.server.openapi import content, errors, example
from llmflow.server.uploads import Submission, request_body, submission
from llmflow.stores.objects import original_key

router = APIRouter(tags=["documents"])

_ID = re.compile("[0-9a-f]{32}")
_BLOCK = 1 << 16
DocumentId = Annotated[str, Path(description="The document's id, all of it.", examples=[examples.DOCUMENT.id])]


@dataclass(frozen=True, slots=True)
class Submitted:
    """What was taken in: a job and its document each, in the order sent.

    A job that is done already found nothing new.
    """

    jobs: tuple[Job, ...]
    documents: tuple[Document, ...]


@dataclass(frozen=True, slots=True)
class DocumentList:
    """A page of documents; ``total`` counts those of all pages."""

    documents: tuple[Document, ...]
    total: int


@dataclass(frozen=True, slots=True)
class DocumentDetails:
    """A document and its jobs, newest first."""

    document: Document
    jobs: tuple[Job, ...]


@dataclass(frozen=True, slots=True)
class ChunkList:
    """Chunks of a document in reading order; ``total`` counts all it has."""

    chunks: tuple[Chunk, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was deleted."""

    document: Document


@router.post(
    "/v1/documents",
    operation_id="add_documents",
    summary="Add documents",
    status_code=202,
    response_model=Submitted,
    responses={
        202: example(Submitted((examples.JOB,), (examples.DOCUMENT,)), description="Taken in; jobs ingest them"),
        **errors(),
    },
    openapi_extra=request_body(),
)
async def add(request: Request, caller: Editor) -> Response:
    """Take in files, or documents at URLs; each gets a job.

    A file named as an earlier one of the department, and a URL given again, replace that document.
    """
    settings = request.app.state.runtime.settings.fetch
    async with submission(request, caller.scope, settings) as asked:
        taken = await run_in_threadpool(_take_in, request, caller.scope, asked)
    return noun_response(taken, 202)


@router.get(
    "/v1/documents",
    operation_id="list_documents",
    summary="Documents",
    response_model=DocumentList,
    responses={200: example(DocumentList((examples.DOCUMENT,), 1)), **errors()},
)
def listed(
    request: Request,
    caller: Reader,
    status: Annotated[DocumentStatus | None, Query(description="Only those that stand there.")] = None,
    name: Annotated[str | None, Query(max_length=200, description="Only those with this in their name.")] = None,
    dataset_id: Annotated[str | None, Query(max_length=64, description="Only those of this data set.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> Response:
    """Documents the credential may read, newest first."""
    page = _runtime(request).database.documents(
        caller.scope, status=status, name=name, dataset_id=dataset_id, limit=limit, offset=offset
    )
    return noun_response(DocumentList(page.items, page.total))


@router.get(
    "/v1/documents/{document_id}",
    operation_id="get_document",
    summary="A document",
    response_model=DocumentDetails,
    responses={200: example(DocumentDetails(examples.DOCUMENT, (examples.JOB,))), **errors(404)},
)
def one(request: Request, caller: Reader, document_id: DocumentId) -> Response:
    """A document and its jobs."""
    document = _document(request, caller.scope, document_id)
    return noun_response(DocumentDetails(document, _runtime(request).database.jobs(caller.scope, document.id)))


@router.get(
    "/v1/documents/{document_id}/chunks",
    operation_id="list_chunks",
    summary="A document's chunks",
    response_model=ChunkList,
    responses={200: example(ChunkList((examples.CHUNK,), 1)), **errors(404)},
)
def chunks(
    request: Request,
    caller: Reader,
    document_id: DocumentId,
    start: Annotated[int, Query(alias="from", ge=0, le=10**9, description="Chunks to leave out.")] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
) -> Response:
    """What readers see of a document, masked, in reading order."""
    document = _document(request, caller.scope, document_id)
    found = _runtime(request).vectors.chunks_of(caller.scope, document.id)
    return noun_response(ChunkList(tuple(found[start : start + limit]), len(found)))


@router.get(
    "/v1/documents/{document_id}/original",
    operation_id="get_original",
    summary="A document's original",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The file as it came", **content("...", "application/octet-stream")},
        **errors(404),
    },
)
def original(request: Request, caller: Editor, document_id: DocumentId) -> StreamingResponse:
    """The file as it came, personal data and all: for editors and administrators only."""
    document = _document(request, caller.scope, document_id)
    if not document.sha256:
        raise _absent(document_id)
    file = _runtime(request).objects.open(caller.scope, original_key(document.id, document.sha256))
    return StreamingResponse(
        _blocks(file),
        media_type="application/octet-stream",
        headers={
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(document.name, safe='')}",
            "Content-Length": str(document.size_bytes),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


@router.delete(
    "/v1/documents/{document_id}",
    operation_id="delete_document",
    summary="Delete a document",
    response_model=Deleted,
    responses={200: example(Deleted(examples.DOCUMENT)), **errors(404)},
)
def delete(request: Request, caller: Editor, document_id: DocumentId) -> Response:
    """Delete a document: its chunks, its original, its jobs."""
    document = _document(request, caller.scope, document_id)
    try:
        return noun_response(Deleted(_runtime(request).delete(caller.scope, document.id)))
    except NotFoundError:  # another request was first
        raise _absent(document_id) from None


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


def _take_in(request: Request, scope: Scope, asked: Submission) -> Submitted:
    runtime = _runtime(request)
    jobs = []
    for upload, file in asked.uploads:
        if file is None:
            job = runtime.intake.submit_url(scope, asked.department, upload)
        else:
            job = runtime.intake.submit(scope, asked.department, upload, file)
        if job.status is JobStatus.QUEUED:
            request.app.state.dispatch(job)
        jobs.append(job)
    documents = tuple(runtime.database.get(scope, job.document_id) for job in jobs)
    return Submitted(tuple(jobs), documents)


def _document(request: Request, scope: Scope, document_id: str) -> Document:
    """The document with an id. One that is another's, the start of one and one that is none are all the same."""
    if not _ID.fullmatch(document_id):
        raise _absent(document_id)
    try:
        return _runtime(request).database.get(scope, document_id)
    except NotFoundError:
        raise _absent(document_id) from None


def _absent(document_id: str) -> NotFoundError:
    return NotFoundError(f"no document with the id {document_id[:100]!r}", param="document_id")


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while block := file.read(_BLOCK):
            yield block
