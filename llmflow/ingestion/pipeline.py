"""The ingestion pipeline: keep the original -> parse -> chunk -> mask -> embed -> store.

A document's row says where it stands; a job's row which stage it has passed and who is at it.
The original is kept before the job is in the queue, and everything a stage writes is named by
the document, so a job that was killed is simply taken up again, by whichever process.
"""

from __future__ import annotations

import logging
import mimetypes
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from llmflow.errors import (
    ConfigurationError,
    DocumentError,
    InvalidInputError,
    LLMFlowError,
    NotFoundError,
    UpstreamError,
)
from llmflow.ingestion.chunking import chunk_document
from llmflow.ingestion.fetch import fetch
from llmflow.ingestion.files import find_files, sha256_of
from llmflow.ingestion.indexing import Indexer, encode_chunks
from llmflow.ingestion.leases import Worker
from llmflow.ingestion.sandbox import parse
from llmflow.ingestion.staging import Prepared, pack, unpack
from llmflow.pii.masker import Masker
from llmflow.schema import Chunk, Document, DocumentStatus, FailureReason, Job, JobStatus, MetadataValue, Scope
from llmflow.settings import Settings
from llmflow.stores.database import Database
from llmflow.stores.objects import ObjectStore, original_key, originals_folder, staged_folder, staged_key
from llmflow.stores.queue import STAGED, Claim, JobQueue
from llmflow.stores.scoping import document_id
from llmflow.tracing import Tracer

_log = logging.getLogger(__name__)

_STATUS = {
    FailureReason.EMPTY: DocumentStatus.EMPTY,
    FailureReason.NEEDS_OCR: DocumentStatus.NEEDS_OCR,
    FailureReason.ENCRYPTED: DocumentStatus.REFUSED,
    FailureReason.UNSUPPORTED_TYPE: DocumentStatus.REFUSED,
    FailureReason.TYPE_MISMATCH: DocumentStatus.REFUSED,
    FailureReason.EXTERNAL_ENTITY: DocumentStatus.REFUSED,
    FailureReason.TOO_LARGE: DocumentStatus.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: its document, and whether there was nothing to do."""

    document: Document
    unchanged: bool = False


@dataclass(frozen=True, slots=True)
class Upload:
    """A file handed in: where it came from, and what its owner says of it.

    ``source`` names the document within its department: a later upload of the same source
    replaces it.
    """

    source: str
    name: str
    dataset_id: str | None = None
    metadata: Mapping[str, MetadataValue] | None = None
    webhook_url: str | None = None


class Ingester:
    """Takes files in and runs jobs through the pipeline; one bad file never stops the rest.

    Args:
        indexer: writes rows; None in a process that does not own the vector store, which hands
            its rows on to the one that does.
    """

    def __init__(
        self,
        database: Database,
        queue: JobQueue,
        worker: Worker,
        objects: ObjectStore,
        indexer: Indexer | None,
        masker: Masker,
        settings: Settings,
        tracer: Tracer,
    ) -> None:
        self._database = database
        self._queue = queue
        self._worker = worker
        self._objects = objects
        self._indexer = indexer
        self._masker = masker
        self._settings = settings
        self._tracer = tracer

    # -- files in ----------------------------------------------------------------------------

    def submit(self, scope: Scope, department: str, upload: Upload, content: Path | BinaryIO) -> Job:
        """Keep a file and put its ingestion into the queue.

        Where the document is ready and the file unchanged, the job that made it so is returned
        and nothing is to be done.

        Raises:
            InvalidInputError: the department is outside the scope.
            UpstreamError: a store does not answer; nothing was taken in.
        """
        with self.scratch() as scratch:
            path = content if isinstance(content, Path) else _spool(content, Path(scratch))
            digest = sha256_of(path)
            known = self._database.find(scope, department, upload.source)
            if known and not upload.webhook_url and self._is_current(scope, known, digest, upload):
                return self._database.jobs(scope, known.id)[0]
            return self._take_in(scope, department, upload, path, digest, running=False)

    def scratch(self) -> AbstractContextManager[str]:
        """See :meth:`llmflow.ingestion.leases.Worker.scratch`."""
        return self._worker.scratch()

    def submit_file(self, scope: Scope, department: str, path: Path) -> Job:
        """:meth:`submit` a file of this machine; one that cannot be read has a job that says so.

        Raises:
            InvalidInputError: the department is outside the scope.
        """
        upload = Upload(source_of(path), Path(source_of(path)).name)
        try:
            return self.submit(scope, department, upload, path)
        except OSError as error:
            self._unreadable(scope, department, upload, error)
            return self._database.jobs(scope, document_id(scope.tenant, department, upload.source))[0]

    def submit_url(self, scope: Scope, department: str, upload: Upload) -> Job:
        """Put the download and ingestion of ``upload.source`` into the queue.

        Raises:
            InvalidInputError: the department is outside the scope.
        """
        return self._database.submit(
            scope,
            department,
            source=upload.source,
            name=upload.name,
            mime_type="application/octet-stream",
            size_bytes=0,
            sha256="",
            dataset_id=upload.dataset_id,
            metadata=upload.metadata,
            webhook_url=upload.webhook_url,
        )

    def ingest(
        self, scope: Scope, department: str, paths: Iterable[Path], on_start: Callable[[int], None] | None = None
    ) -> Iterator[Outcome]:
        """Ingest files and folders into a department, jobs a killed process left first.

        A file whose document is ready and unchanged is left alone; a changed one replaces its
        chunks. ``parsing.workers`` files are worked on side by side; outcomes come in order.
        A document that somebody deletes while it is worked on has none.

        Args:
            on_start: told the number of files before the first outcome.

        Raises:
            InvalidInputError: a path does not exist, or the department is outside the scope.
        """
        files = list(find_files(paths))
        coming = {document_id(scope.tenant, department, source_of(path)) for path in files}
        left = [job for job in self._left(scope) if job.document_id not in coming]
        if on_start:
            on_start(len(left) + len(files))
        stored = self._owned().counts(scope)
        tasks = [
            *(partial(self._resume, job) for job in left),
            *(partial(self._ingest, scope, department, path, stored) for path in files),
        ]
        pool = ThreadPoolExecutor(max_workers=self._settings.parsing.workers, thread_name_prefix="ingest")
        try:
            outcomes = pool.map(partial.__call__, tasks)
            yield from (outcome for outcome in outcomes if outcome)
        finally:
            pool.shutdown(cancel_futures=True)
            self._owned().store.flush()

    def delete(self, scope: Scope, id_or_prefix: str) -> Document:
        """Delete a document: its chunks, its original, its rows.

        Raises:
            NotFoundError: no document in the scope has such an id.
        """
        document = self._database.get(scope, id_or_prefix)
        # Under the lock, so that a job of the document that runs now finds it here or gone, nothing between.
        with self._tracer.observe("delete", input=document.id), self._owned().store.writing():
            self._owned().remove(scope, document.id)
            self._forget(scope, document.id)
            return self._database.delete(scope, document.id)

    # -- jobs --------------------------------------------------------------------------------

    def run(self, job_id: str) -> Document | None:
        """Run a job of the queue; None where another process has it, or its document is gone."""
        owner = self._indexer is not None
        claim = self._queue.claim(job_id, self._worker.lease, self._worker.dead(), owner=owner)
        return self._work(claim) if claim else None

    def due(self) -> list[Job]:
        """Jobs that wait, or that a dead process left."""
        return self._queue.due(self._worker.dead())

    def _left(self, scope: Scope) -> list[Job]:
        """Jobs of the scope that wait or were left."""

        def visible(job: Job) -> bool:
            try:
                return bool(self._database.job(scope, job.id))
            except NotFoundError:
                return False

        return [job for job in self.due() if visible(job)]

    def _resume(self, job: Job) -> Outcome | None:
        document = self.run(job.id)
        return Outcome(document) if document else None

    def _ingest(self, scope: Scope, department: str, path: Path, stored: Mapping[str, int]) -> Outcome | None:
        """One file of this machine; ``stored`` says how many chunks of each document were there at the start."""
        upload = Upload(source_of(path), Path(source_of(path)).name)
        digest, unreadable = _examine(path)
        known = self._database.find(scope, department, upload.source)
        # Rows can be missing: a deletion was killed half way, or the vector store is another one.
        if known and self._is_ready(known, digest) and stored.get(known.id) == known.chunks_count:
            return Outcome(known, unchanged=True)
        try:
            if unreadable:
                raise unreadable
            job = self._take_in(scope, department, upload, path, digest, running=True)
        except OSError as error:
            document = self._unreadable(scope, department, upload, error)
            return Outcome(document) if document else None
        document = self._work(Claim(scope, job, self._database.get(scope, job.document_id)))
        return Outcome(document) if document else None

    def _take_in(self, scope: Scope, department: str, upload: Upload, path: Path, digest: str, *, running: bool) -> Job:
        """The original in the object store, then the job in the queue: a job always finds its original."""
        if department not in scope.departments:
            allowed = ", ".join(scope.departments) or "none"
            raise InvalidInputError(
                f"department {department!r} is outside the scope; allowed: {allowed}", param="department"
            )
        key = original_key(document_id(scope.tenant, department, upload.source), digest)
        kept = self._objects.put(scope, key, path)
        if kept.sha256 != digest:
            self._objects.delete(scope, key)
            raise OSError("it changed while it was read")
        job = self._submit(scope, department, upload, digest, kept.size_bytes, running=running)
        if not self._objects.exists(scope, key):  # tidied away by a job that ended between the two
            self._objects.put(scope, key, path)
        return job

    def _submit(self, scope: Scope, department: str, upload: Upload, digest: str, size: int, *, running: bool) -> Job:
        return self._database.submit(
            scope,
            department,
            source=upload.source,
            name=upload.name,
            mime_type=mimetypes.guess_type(upload.name)[0] or "application/octet-stream",
            size_bytes=size,
            sha256=digest,
            dataset_id=upload.dataset_id,
            metadata=upload.metadata,
            webhook_url=upload.webhook_url,
            lease=self._worker.lease if running else None,
        )

    def _unreadable(self, scope: Scope, department: str, upload: Upload, error: OSError) -> Document | None:
        """A row for a file that cannot be read or kept, so that it is seen."""
        job = self._submit(scope, department, upload, "", 0, running=True)
        message = f"{upload.name}: cannot be read or kept ({error}); see to the file and the disk, and ingest it again"
        return self._fail(Claim(scope, job, self._database.get(scope, job.document_id)), "internal", message)

    def _is_current(self, scope: Scope, known: Document, digest: str, upload: Upload) -> bool:
        same = dict(upload.metadata or {}) == known.metadata and upload.dataset_id == known.dataset_id
        if not (same and self._is_ready(known, digest)):
            return False
        return self._indexer is None or self._indexer.counts(scope).get(known.id) == known.chunks_count

    @staticmethod
    def _is_ready(known: Document, digest: str) -> bool:
        return known.status is DocumentStatus.READY and known.sha256 == digest

    def _owned(self) -> Indexer:
        """The indexer; only ever asked for in the process that owns the vector store."""
        assert self._indexer is not None
        return self._indexer

    def _work(self, claim: Claim) -> Document | None:
        """A claimed job's document as it ends: ready, or with the reason why not.

        None where it was deleted, a later job took over, or its rows were handed on.
        """
        scope, job = claim.scope, claim.job
        with (
            self._tracer.acting(scope),
            self._tracer.observe("ingest", kind="chain", input=claim.document.name) as trace,
        ):
            try:
                with self._worker.holding(job.id):
                    document = self._attempt(claim, trace.trace_id)
            except NotFoundError:
                document = self._overtaken(scope, job)
            except (UpstreamError, ConfigurationError):  # a store is away: the job waits for it
                self._queue.put_back(claim)
                raise
            trace.update(output=document.status.value if document else "handed on or deleted")
            return document

    def _attempt(self, claim: Claim, trace_id: str | None) -> Document | None:
        name = claim.document.name
        if claim.crashes >= self._settings.jobs.attempts:
            return self._fail(claim, "internal", f"{name}: {claim.crashes} processes died working on it; see the log")
        try:
            return self._stages(claim, trace_id)
        except NotFoundError:
            raise
        except DocumentError as error:
            return self._fail(claim, error.reason, error.message)
        except (UpstreamError, ConfigurationError):  # nothing is wrong with the document
            raise
        except LLMFlowError as error:
            return self._fail(claim, "internal", f"{name}: {error.message}")
        except OSError as error:
            return self._fail(claim, "internal", f"{name}: cannot be read ({error}); ingest it again")
        except Exception as error:  # a bug met in one document must not stop the others
            _log.exception("ingesting document %s failed", claim.document.id)
            return self._fail(
                claim, "internal", f"{name}: {type(error).__name__}: {error}; please report this fault of LLMFlow"
            )

    def _stages(self, claim: Claim, trace_id: str | None) -> Document | None:
        """The straight list of stages, each an observation and a mark on the job's row."""
        scope, job = claim.scope, claim.job

        @contextmanager
        def stage(name: str) -> Iterator[None]:
            with self._tracer.observe(f"ingest.{name}"):
                yield
            self._database.advance(scope, job, name, trace_id)

        staged = self._staged(claim) if self._indexer else None
        if self._indexer and staged:
            with self._objects.open(scope, staged) as content:
                prepared = unpack(content.read(), self._indexer.store.dimensions)
            if prepared.failure:
                return self._fail(claim, *prepared.failure)
        else:
            prepared = self._prepare(claim, stage)
        if self._indexer is None:
            self._hand_on(claim, prepared)
            return None
        with stage("store"), self._in_force(scope, job):
            self._indexer.replace(scope, job.document_id, prepared.rows)
        document = self._database.finish(
            scope,
            job,
            DocumentStatus.READY,
            chunks_count=len(prepared.rows),
            entities_count=prepared.entities_count,
            warnings=prepared.warnings,
        )
        self._tidy(scope, document)
        return document

    def _prepare(self, claim: Claim, stage: Callable[[str], AbstractContextManager[None]]) -> Prepared:
        scope, document = claim.scope, claim.document
        with self.scratch() as scratch:
            path = Path(scratch) / "original"
            with stage("keep"):
                document = self._bring(claim, path)
            with stage("parse"):
                parsed = parse(path, self._settings.parsing, name=document.name)
        with stage("chunk"):
            chunks = chunk_document(
                parsed,
                self._settings.chunking,
                document_id=document.id,
                tenant=scope.tenant,
                department=document.department,
                document_name=document.name,
            )
        if not chunks:
            raise DocumentError(
                FailureReason.EMPTY, f"{document.name} holds no text; nothing to ingest", param=document.name
            )
        with stage("mask"):
            chunks, entities = self._mask(chunks)
        with stage("embed"):
            owner = self._indexer
            rows = owner.encode(chunks) if owner else encode_chunks(chunks, self._settings.retrieval, dimensions=0)
        return Prepared(tuple(rows), entities, parsed.warnings)

    def _bring(self, claim: Claim, path: Path) -> Document:
        """The original as a file: from the object store, or, the first time, from its URL."""
        scope, document = claim.scope, claim.document
        if document.sha256:
            try:
                original = self._objects.open(scope, original_key(document.id, document.sha256))
            except NotFoundError:
                raise DocumentError(
                    FailureReason.INTERNAL, f"{document.name}: its original is gone; ingest it again"
                ) from None
            with original, path.open("wb") as copy:
                shutil.copyfileobj(original, copy)
            return document
        fetched = fetch(document.source, path, self._settings.fetch, self._settings.parsing.max_file_mb)
        digest = sha256_of(path)
        self._objects.put(scope, original_key(document.id, digest), path)
        return self._database.receive(
            scope,
            claim.job,
            name=fetched.name,
            mime_type=fetched.mime_type,
            size_bytes=path.stat().st_size,
            sha256=digest,
        )

    def _staged(self, claim: Claim) -> str | None:
        """Where the latest attempt of a job has left its rows."""
        keys = self._objects.keys(claim.scope, staged_folder(claim.document.id))
        own = [key for key in keys if key.rpartition("/")[2].startswith(f"{claim.job.id}.")]
        return max(own, default=None)

    def _hand_on(self, claim: Claim, prepared: Prepared) -> None:
        """Leave the rest to the process that owns the vector store."""
        key = staged_key(claim.document.id, f"{claim.job.id}.{claim.job.attempts:09d}")
        self._objects.put(claim.scope, key, pack(prepared))
        self._queue.put_back(claim, STAGED)

    def _fail(self, claim: Claim, reason: str, message: str) -> Document | None:
        """The document without chunks, and why."""
        if self._indexer is None:
            self._hand_on(claim, Prepared(failure=(reason, message)))
            return None
        scope, job, failure = claim.scope, claim.job, FailureReason(reason)
        with self._in_force(scope, job):
            self._indexer.remove(scope, job.document_id)
            status = _STATUS.get(failure, DocumentStatus.FAILED)
            document = self._database.finish(scope, job, status, reason=failure, message=message)
        self._tidy(scope, document)
        return document

    @contextmanager
    def _in_force(self, scope: Scope, job: Job) -> Iterator[None]:
        """Writing, as the attempt that has the say: none may undo what a later one of its document wrote.

        Raises:
            NotFoundError: the document was deleted, or a later job or attempt works on it.
        """
        with self._owned().store.writing():
            now, _ = self._database.job(scope, job.id)
            if now.status is not JobStatus.RUNNING or now.attempts != job.attempts:
                raise NotFoundError(f"job {job.id} runs no more", param="job_id")
            yield

    def _overtaken(self, scope: Scope, job: Job) -> Document | None:
        """The document as a later job has it; None where it was deleted."""
        try:
            return self._database.get(scope, job.document_id)
        except NotFoundError:
            return None

    def _tidy(self, scope: Scope, document: Document) -> None:
        """Delete what earlier versions of a document left; its own original stays."""
        keep = original_key(document.id, document.sha256)
        try:
            if list(self._leftovers(scope, document.id, keep)):
                with self._database.holding(scope, document.id) as now:
                    self._forget(scope, now.id, but=original_key(now.id, now.sha256))
        except NotFoundError:  # deleted meanwhile, and its files with it
            pass
        except (LLMFlowError, OSError) as error:  # the outcome stands; the next ingestion tidies
            _log.warning("leftovers of document %s stay for now: %s", document.id, error)

    def _forget(self, scope: Scope, document_id: str, but: str | None = None) -> None:
        """Delete a document's originals and staged rows."""
        for key in list(self._leftovers(scope, document_id, but)):
            self._objects.delete(scope, key)

    def _leftovers(self, scope: Scope, document_id: str, but: str | None) -> Iterator[str]:
        for folder in (originals_folder(document_id), staged_folder(document_id)):
            yield from (key for key in self._objects.keys(scope, folder) if key != but)

    def _mask(self, chunks: list[Chunk]) -> tuple[list[Chunk], int]:
        """Chunks with personal data masked in text, title and section path, and how much there was."""
        texts = self._masker.mask_many(chunk.text for chunk in chunks)
        contexts = {context: "" for chunk in chunks for context in (chunk.title, *chunk.section_path)}
        masked = dict(zip(contexts, (found.text for found in self._masker.mask_many(contexts)), strict=True))
        return [
            replace(
                chunk,
                text=found.text,
                title=masked[chunk.title],
                section_path=tuple(masked[title] for title in chunk.section_path),
            )
            for chunk, found in zip(chunks, texts, strict=True)
        ], sum(len(found.entities) for found in texts)


def source_of(path: Path) -> str:
    """The path as text that every store takes, also where a file name is not Unicode."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _examine(path: Path) -> tuple[str, OSError | None]:
    """A file's hash, or why there is none."""
    try:
        return sha256_of(path), None
    except OSError as error:
        return "", error


def _spool(content: BinaryIO, folder: Path) -> Path:
    path = folder / "upload"
    with path.open("wb") as copy:
        shutil.copyfileobj(content, copy, 1 << 20)
    return path
