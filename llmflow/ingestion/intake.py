"""Files in: the original is kept, then a job is in the queue, so that a job always finds its original."""

from __future__ import annotations

import mimetypes
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from llmflow.ingestion.endings import Endings
from llmflow.ingestion.files import sha256_of
from llmflow.ingestion.indexing import Indexer
from llmflow.ingestion.leases import Worker
from llmflow.schema import Document, DocumentStatus, Job, MetadataValue, Scope
from llmflow.stores.database import Database
from llmflow.stores.objects import ObjectStore, original_key
from llmflow.stores.queue import Claim
from llmflow.stores.scoping import check_department, document_id

_UNKNOWN_TYPE = "application/octet-stream"


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


class Intake:
    """Keeps originals and puts jobs into the queue; runs none.

    Args:
        indexer: knows how many chunks are stored; None in a process that does not own the vector store.
    """

    def __init__(
        self, database: Database, worker: Worker, objects: ObjectStore, indexer: Indexer | None, endings: Endings
    ) -> None:
        self._database = database
        self._worker = worker
        self._objects = objects
        self._indexer = indexer
        self._endings = endings

    def submit(self, scope: Scope, department: str, upload: Upload, content: Path | BinaryIO) -> Job:
        """Keep a file and put its ingestion into the queue.

        Where the document is ready and the file unchanged, the job that made it so is returned
        and nothing is to be done.

        Raises:
            InvalidInputError: the department is outside the scope.
            UpstreamError: a store does not answer; nothing was taken in.
        """
        with self._worker.scratch() as scratch:
            path = content if isinstance(content, Path) else _spool(content, Path(scratch))
            digest = sha256_of(path)
            known = self._database.find(scope, department, upload.source)
            if known and not upload.webhook_url and is_current(known, upload, digest) and self._is_stored(scope, known):
                return self._database.jobs(scope, known.id)[0]
            return self._take_in(scope, department, upload, path, digest, running=False)

    def submit_file(self, scope: Scope, department: str, path: Path) -> Job:
        """:meth:`submit` a file of this machine; one that cannot be read has a job that says so.

        Raises:
            InvalidInputError: the department is outside the scope.
        """
        upload = upload_of(path)
        try:
            return self.submit(scope, department, upload, path)
        except OSError as error:
            self.unreadable(scope, department, upload, error)
            return self._database.jobs(scope, document_id(scope.tenant, department, upload.source))[0]

    def submit_url(self, scope: Scope, department: str, upload: Upload) -> Job:
        """Put the download and ingestion of ``upload.source`` into the queue.

        Raises:
            InvalidInputError: the department is outside the scope.
        """
        return self._submit(scope, department, upload, _UNKNOWN_TYPE, running=False)

    def begin(self, scope: Scope, department: str, upload: Upload, path: Path, digest: str) -> Claim:
        """Keep a file and claim its ingestion, for the caller to work on now.

        Raises:
            InvalidInputError: the department is outside the scope.
            NotFoundError: somebody deleted the document meanwhile.
            OSError: the file cannot be read or kept, or has another hash by now.
        """
        job = self._take_in(scope, department, upload, path, digest, running=True)
        return Claim(scope, job, self._database.get(scope, job.document_id))

    def unreadable(self, scope: Scope, department: str, upload: Upload, error: OSError) -> Document | None:
        """A failed document for a file that cannot be read or kept, so that it is seen; None where that was handed on.

        Raises:
            InvalidInputError: the department is outside the scope.
        """
        job = self._submit(scope, department, upload, _type_of(upload), running=True)
        message = f"{upload.name}: cannot be read or kept ({error}); see to the file and the disk, and ingest it again"
        return self._endings.fail(Claim(scope, job, self._database.get(scope, job.document_id)), "internal", message)

    def _is_stored(self, scope: Scope, known: Document) -> bool:
        """Whether all rows are there, as far as this process can tell."""
        return self._indexer is None or self._indexer.counts(scope).get(known.id) == known.chunks_count

    def _take_in(self, scope: Scope, department: str, upload: Upload, path: Path, digest: str, *, running: bool) -> Job:
        """The original in the object store, then the job in the queue."""
        check_department(scope, department)  # nothing is kept of what the queue refuses
        key = original_key(document_id(scope.tenant, department, upload.source), digest)
        kept = self._objects.put(scope, key, path)
        if kept.sha256 != digest:
            self._objects.delete(scope, key)
            raise OSError("it changed while it was read")
        job = self._submit(
            scope, department, upload, _type_of(upload), size_bytes=kept.size_bytes, sha256=digest, running=running
        )
        if not self._objects.exists(scope, key):  # tidied away by a job that ended between the two
            self._objects.put(scope, key, path)
        return job

    def _submit(
        self,
        scope: Scope,
        department: str,
        upload: Upload,
        mime_type: str,
        *,
        size_bytes: int = 0,
        sha256: str = "",
        running: bool,
    ) -> Job:
        return self._database.submit(
            scope,
            department,
            source=upload.source,
            name=upload.name,
            mime_type=mime_type,
            size_bytes=size_bytes,
            sha256=sha256,
            dataset_id=upload.dataset_id,
            metadata=upload.metadata,
            webhook_url=upload.webhook_url,
            lease=self._worker.lease if running else None,
        )


def upload_of(path: Path) -> Upload:
    """A file of this machine, named by its path: as text that every store takes, also where it is not Unicode."""
    source = os.fsencode(path).decode("utf-8", "backslashreplace")
    return Upload(source, Path(source).name)


def is_current(known: Document, upload: Upload, digest: str) -> bool:
    """Whether a document is ready, of the same content, and its owner says the same of it."""
    same = dict(upload.metadata or {}) == known.metadata and upload.dataset_id == known.dataset_id
    return same and known.status is DocumentStatus.READY and known.sha256 == digest


def _type_of(upload: Upload) -> str:
    return mimetypes.guess_type(upload.name)[0] or _UNKNOWN_TYPE


def _spool(content: BinaryIO, folder: Path) -> Path:
    path = folder / "upload"
    with path.open("wb") as copy:
        shutil.copyfileobj(content, copy, 1 << 20)
    return path
