"""The ingestion pipeline: keep the original -> parse -> chunk -> mask -> embed -> store -> graph.

A document's row says where it stands; a job's row which stage it has passed and who is at it.
The original is kept before the job is in the queue, and everything a stage writes is named by
the document, so a job that was killed is simply taken up again, by whichever process.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from llmflow.errors import ConfigurationError, DocumentError, LLMFlowError, NotFoundError, UpstreamError
from llmflow.ingestion.chunking import chunk_document
from llmflow.ingestion.endings import Endings
from llmflow.ingestion.fetch import fetch
from llmflow.ingestion.files import find_files, sha256_of
from llmflow.ingestion.indexing import Indexer
from llmflow.ingestion.intake import Intake, is_current, upload_of
from llmflow.ingestion.leases import Worker
from llmflow.ingestion.leftovers import forget
from llmflow.ingestion.masking import mask_chunks
from llmflow.ingestion.sandbox import parse
from llmflow.ingestion.staging import Prepared, find_rows
from llmflow.pii.masker import Masker
from llmflow.schema import Chunk, Document, FailureReason, Job, Scope
from llmflow.settings import Settings
from llmflow.stores.database import Database
from llmflow.stores.objects import ObjectStore, original_key
from llmflow.stores.queue import Claim, JobQueue
from llmflow.stores.scoping import document_id
from llmflow.stores.vectors import ChunkRow
from llmflow.tracing import Tracer

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: its document, and whether there was nothing to do."""

    document: Document
    unchanged: bool = False


class Ingester:
    """Runs jobs through the pipeline; one bad file never stops the rest.

    Args:
        indexer: writes rows; None in a process that does not own the vector store, which
            hands its rows on to the one that does.
        encode: makes rows of chunks.
    """

    def __init__(
        self,
        intake: Intake,
        endings: Endings,
        database: Database,
        queue: JobQueue,
        worker: Worker,
        objects: ObjectStore,
        indexer: Indexer | None,
        encode: Callable[[Sequence[Chunk]], list[ChunkRow]],
        masker: Masker,
        settings: Settings,
        tracer: Tracer,
    ) -> None:
        self._intake = intake
        self._endings = endings
        self._database = database
        self._queue = queue
        self._worker = worker
        self._objects = objects
        self._indexer = indexer
        self._encode = encode
        self._masker = masker
        self._settings = settings
        self._tracer = tracer

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
        coming = {document_id(scope.tenant, department, upload_of(path).source) for path in files}
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
            self._endings.remove(scope, document.id)
            forget(self._objects, scope, document.id)
            return self._database.delete(scope, document.id)

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
        upload = upload_of(path)
        try:
            digest = sha256_of(path)
            known = self._database.find(scope, department, upload.source)
            # Rows can be missing: a deletion was killed half way, or the vector store is another one.
            if known and is_current(known, upload, digest) and stored.get(known.id) == known.chunks_count:
                return Outcome(known, unchanged=True)
            claim = self._intake.begin(scope, department, upload, path, digest)
        except OSError as error:
            document = self._intake.unreadable(scope, department, upload, error)
        except NotFoundError:  # somebody deleted it as it was taken in
            document = None
        else:
            document = self._work(claim)
        return Outcome(document) if document else None

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
            return self._endings.fail(
                claim, "internal", f"{name}: {claim.crashes} processes died working on it; see the log"
            )
        try:
            return self._stages(claim, trace_id)
        except NotFoundError:
            raise
        except DocumentError as error:
            return self._endings.fail(claim, error.reason, error.message)
        except (UpstreamError, ConfigurationError):  # nothing is wrong with the document
            raise
        except LLMFlowError as error:
            return self._endings.fail(claim, "internal", f"{name}: {error.message}")
        except OSError as error:
            return self._endings.fail(claim, "internal", f"{name}: cannot be read ({error}); ingest it again")
        except Exception as error:  # a bug met in one document must not stop the others
            _log.exception("ingesting document %s failed", claim.document.id)
            return self._endings.fail(
                claim, "internal", f"{name}: {type(error).__name__}: {error}; please report this fault of LLMFlow"
            )

    def _stages(self, claim: Claim, trace_id: str | None) -> Document | None:
        """The straight list of stages, each an observation and a mark on the job's row."""

        @contextmanager
        def stage(name: str) -> Iterator[None]:
            with self._tracer.observe(f"ingest.{name}"):
                yield
            self._database.advance(claim.scope, claim.job, name, trace_id)

        staged = find_rows(self._objects, claim) if self._indexer else None
        if staged and staged.failure:
            return self._endings.fail(claim, *staged.failure)
        prepared = staged or self._prepare(claim, stage)
        if self._indexer is None:
            self._endings.hand_on(claim, prepared)
            return None
        with stage("store"):
            self._endings.store(claim, prepared)
        with stage("graph"):
            prepared = self._endings.link(claim, prepared)
        return self._endings.ready(claim, prepared)

    def _prepare(self, claim: Claim, stage: Callable[[str], AbstractContextManager[None]]) -> Prepared:
        scope, document = claim.scope, claim.document
        with self._worker.scratch() as scratch:
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
            chunks, entities = mask_chunks(self._masker, chunks)
        with stage("embed"):
            rows = self._encode(chunks)
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

    def _overtaken(self, scope: Scope, job: Job) -> Document | None:
        """The document as a later job has it; None where it was deleted."""
        try:
            return self._database.get(scope, job.document_id)
        except NotFoundError:
            return None
