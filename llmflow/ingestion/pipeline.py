"""The ingestion pipeline: keep the original -> parse -> chunk -> mask -> embed -> store.

A document's row says where it stands; a job's row which stage it has passed. Everything a
stage writes is named by the document, so a job that was killed is simply run again.
"""

from __future__ import annotations

import logging
import mimetypes
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from llmflow.errors import DocumentError, NotFoundError
from llmflow.ingestion.chunking import chunk_document
from llmflow.ingestion.files import find_files, sha256_of
from llmflow.ingestion.indexing import Indexer
from llmflow.ingestion.sandbox import parse
from llmflow.pii.masker import Masker
from llmflow.schema import Chunk, Document, DocumentStatus, FailureReason, Job, JobStatus, Scope
from llmflow.settings import ChunkingSettings, ParsingSettings
from llmflow.stores.database import Database
from llmflow.stores.objects import ObjectStore, original_key, originals_folder
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
class _File:
    """A file to ingest: ``path`` holds the bytes, ``source`` is where they came from."""

    path: Path
    source: str
    department: str

    @property
    def name(self) -> str:
        return Path(self.source).name


class Ingester:
    """Runs files through the pipeline; one bad file never stops the rest."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        indexer: Indexer,
        masker: Masker,
        parsing: ParsingSettings,
        chunking: ChunkingSettings,
        tracer: Tracer,
    ) -> None:
        self._database = database
        self._objects = objects
        self._indexer = indexer
        self._masker = masker
        self._parsing = parsing
        self._chunking = chunking
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
        files = [_File(path, _source_of(path), department) for path in find_files(paths)]
        with tempfile.TemporaryDirectory(prefix="llmflow-") as scratch:
            known = {(file.source, file.department) for file in files}
            resumed = [
                file for file in self._interrupted(scope, Path(scratch)) if (file.source, file.department) not in known
            ]
            if on_start:
                on_start(len(resumed) + len(files))
            yield from self._run(scope, [*resumed, *files], self._indexer.counts(scope))

    def delete(self, scope: Scope, id_or_prefix: str) -> Document:
        """Delete a document: its chunks, its original, its rows.

        Raises:
            NotFoundError: no document in the scope has such an id.
        """
        document = self._database.get(scope, id_or_prefix)
        # Under the lock, so that a job of the document that runs now finds it here or gone, nothing between.
        with self._tracer.observe("delete", input=document.id), self._indexer.store.writing():
            self._indexer.remove(scope, document.id)
            self._forget_originals(scope, document.id)
            return self._database.delete(scope, document.id)

    def _interrupted(self, scope: Scope, scratch: Path) -> Iterator[_File]:
        """What killed jobs were at: from where it came if that is still there, else the original kept."""
        for _, document in self._database.interrupted(scope):
            path = Path(document.source)
            if document.sha256 and not os.path.isfile(path):
                key = original_key(document.id, document.sha256)
                with suppress(NotFoundError), self._objects.open(scope, key) as original:
                    path = scratch / document.id
                    with path.open("wb") as copy:
                        shutil.copyfileobj(original, copy)
            yield _File(path, document.source, document.department)

    def _run(self, scope: Scope, files: list[_File], stored: Mapping[str, int]) -> Iterator[Outcome]:
        pool = ThreadPoolExecutor(max_workers=self._parsing.workers, thread_name_prefix="ingest")
        try:
            outcomes = pool.map(lambda file: self._ingest(scope, file, stored), files)
            yield from (outcome for outcome in outcomes if outcome)
        finally:
            pool.shutdown(cancel_futures=True)
            self._indexer.store.flush()

    def _ingest(self, scope: Scope, file: _File, stored: Mapping[str, int]) -> Outcome | None:
        """One file; ``stored`` says how many chunks of each document were there at the start."""
        digest, size, unreadable = _examine(file.path)
        known = self._database.find(scope, file.department, file.source)
        unchanged = known and known.status is DocumentStatus.READY and known.sha256 == digest
        # Rows can be missing: a deletion was killed half way, or the vector store is another one.
        if known and unchanged and stored.get(known.id) == known.chunks_count:
            return Outcome(known, unchanged=True)
        with self._tracer.observe("ingest", kind="chain", input=file.name) as trace:
            job = self._database.begin(
                scope,
                file.department,
                source=file.source,
                name=file.name,
                mime_type=mimetypes.guess_type(file.name)[0] or "application/octet-stream",
                size_bytes=size,
                sha256=digest,
                trace_id=trace.trace_id,
            )
            try:
                document: Document | None = self._attempt(scope, file, job, digest, unreadable)
            except NotFoundError:  # deleted, or a later job of the document took over
                document = self._overtaken(scope, job)
            trace.update(output=document.status.value if document else "deleted")
            return Outcome(document) if document else None

    def _attempt(self, scope: Scope, file: _File, job: Job, digest: str, unreadable: OSError | None) -> Document:
        """The document as it ends: ready, or with the reason why not."""
        try:
            if unreadable:
                raise unreadable
            return self._stages(scope, file, job, digest)
        except NotFoundError:
            raise
        except DocumentError as error:
            reason, message = FailureReason(error.reason), error.message
        except OSError as error:
            reason = FailureReason.INTERNAL
            message = (
                f"{file.name}: cannot be read or kept ({error}); see to the file and the disk, and ingest it again"
            )
        except Exception as error:  # a bug met in one document must not stop the others
            _log.exception("ingesting %s failed", file.source)
            reason = FailureReason.INTERNAL
            message = f"{file.name}: {type(error).__name__}: {error}; please report this fault of LLMFlow"
        with self._in_force(scope, job):
            self._indexer.remove(scope, job.document_id)
            status = _STATUS.get(reason, DocumentStatus.FAILED)
            return self._database.finish(scope, job.id, status, reason=reason, message=message)

    def _stages(self, scope: Scope, file: _File, job: Job, digest: str) -> Document:
        """The straight list of stages, each an observation and a mark on the job's row."""

        @contextmanager
        def stage(name: str) -> Iterator[None]:
            with self._tracer.observe(f"ingest.{name}"):
                yield
            self._database.advance(scope, job.id, name)

        with stage("keep"):
            self._keep(scope, file, job, digest)
        with stage("parse"):
            parsed = parse(file.path, self._parsing, name=file.name)
        with stage("chunk"):
            chunks = chunk_document(
                parsed,
                self._chunking,
                document_id=job.document_id,
                tenant=scope.tenant,
                department=file.department,
                document_name=file.name,
            )
        if not chunks:
            raise DocumentError(FailureReason.EMPTY, f"{file.name} holds no text; nothing to ingest", param=file.name)
        with stage("mask"):
            chunks, entities = self._mask(chunks)
        with stage("embed"):
            rows = self._indexer.encode(chunks)
        with stage("store"), self._in_force(scope, job):
            self._indexer.replace(scope, job.document_id, rows)
        return self._database.finish(
            scope,
            job.id,
            DocumentStatus.READY,
            chunks_count=len(chunks),
            entities_count=entities,
            warnings=parsed.warnings,
        )

    def _keep(self, scope: Scope, file: _File, job: Job, digest: str) -> None:
        """The original in the object store, in place of an older one."""
        key = original_key(job.document_id, digest)
        if self._objects.put(scope, key, file.path).sha256 != digest:
            self._objects.delete(scope, key)
            raise OSError("it changed while it was read")
        self._forget_originals(scope, job.document_id, but=key)

    @contextmanager
    def _in_force(self, scope: Scope, job: Job) -> Iterator[None]:
        """Writing, as the job that has the say: none may undo what a later job of its document wrote.

        Raises:
            NotFoundError: the document was deleted, or a later job works on it.
        """
        with self._indexer.store.writing():
            jobs = self._database.jobs(scope, job.document_id)
            if not any(other.id == job.id and other.status is JobStatus.RUNNING for other in jobs):
                raise NotFoundError(f"job {job.id} runs no more", param="job_id")
            yield

    def _overtaken(self, scope: Scope, job: Job) -> Document | None:
        """The document as a later job has it; None where it was deleted."""
        try:
            return self._database.get(scope, job.document_id)
        except NotFoundError:
            self._forget_originals(scope, job.document_id)  # kept since
            return None

    def _forget_originals(self, scope: Scope, document_id: str, but: str | None = None) -> None:
        for key in list(self._objects.keys(scope, originals_folder(document_id))):
            if key != but:
                self._objects.delete(scope, key)

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


def _examine(path: Path) -> tuple[str, int, OSError | None]:
    """A file's hash and size, or why there are none."""
    try:
        return sha256_of(path), path.stat().st_size, None
    except OSError as error:
        return "", 0, error


def _source_of(path: Path) -> str:
    """The path as text that every store takes, also where a file name is not Unicode."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
