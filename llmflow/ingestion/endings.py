"""How an attempt at a job ends: ready, failed with a reason, or handed on to the owner of the vector store."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from llmflow.errors import NotFoundError
from llmflow.ingestion.entities.linking import Linker
from llmflow.ingestion.indexing import Indexer
from llmflow.ingestion.leftovers import tidy
from llmflow.ingestion.staging import Prepared, leave_rows
from llmflow.schema import Document, DocumentStatus, FailureReason, JobStatus, Scope
from llmflow.stores.database import Database
from llmflow.stores.objects import ObjectStore
from llmflow.stores.queue import STAGED, Claim, JobQueue

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


class Endings:
    """Writes what became of a claimed job; only the attempt that has the say can.

    Args:
        indexer: writes rows; None in a process that does not own the vector store.
        linker: writes the graph; None there too, and without a graph.
    """

    def __init__(
        self,
        database: Database,
        queue: JobQueue,
        objects: ObjectStore,
        indexer: Indexer | None,
        linker: Linker | None,
    ) -> None:
        self._database = database
        self._queue = queue
        self._objects = objects
        self._indexer = indexer
        self._linker = linker

    def hand_on(self, claim: Claim, prepared: Prepared) -> None:
        """Leave the rest to the process that owns the vector store."""
        leave_rows(self._objects, claim, prepared)
        self._queue.put_back(claim, STAGED)

    def store(self, claim: Claim, prepared: Prepared) -> None:
        """The store stage: rows take the place of whatever the document had.

        Raises:
            NotFoundError: the document was deleted, or a later job or attempt works on it.
        """
        with self._in_force(claim) as indexer:
            indexer.replace(claim.scope, claim.job.document_id, prepared.rows)

    def link(self, claim: Claim, prepared: Prepared) -> Prepared:
        """The graph stage: what was prepared, with warnings of what the graph lacks of it.

        Raises:
            NotFoundError: the document was deleted, or a later job or attempt works on it.
        """
        if self._linker is None:
            return prepared
        part, missing = self._linker.extract([row.chunk for row in prepared.rows])
        with self._in_force(claim):
            missing += self._linker.write(claim.scope, claim.document.department, part)
        return replace(prepared, warnings=(*prepared.warnings, *missing))

    def remove(self, scope: Scope, document_id: str) -> None:
        """A document's rows and its part of the graph, deleted.

        Personal data must go also where the graph fails, which is logged. What the graph keeps then, no
        search shows, as it leads to chunks without rows; rebuilding the graph removes it.
        """
        assert self._indexer is not None
        with self._indexer.store.writing():
            self._indexer.remove(scope, document_id)
            if self._linker:
                try:
                    self._linker.remove(scope, document_id)
                except Exception as error:  # whatever breaks the graph must not keep the document
                    _log.warning(
                        "document %s is still in the graph; `llmflow graph rebuild` removes it",
                        document_id,
                        exc_info=error,
                    )

    def ready(self, claim: Claim, prepared: Prepared) -> Document:
        """The document, its rows being stored.

        Raises:
            NotFoundError: the document was deleted, or a later job or attempt works on it.
        """
        document = self._database.finish(
            claim.scope,
            claim.job,
            DocumentStatus.READY,
            chunks_count=len(prepared.rows),
            entities_count=prepared.entities_count,
            warnings=prepared.warnings,
        )
        tidy(self._database, self._objects, claim.scope, document)
        return document

    def fail(self, claim: Claim, reason: str, message: str) -> Document | None:
        """The document without chunks, and why; None where that was handed on.

        Raises:
            NotFoundError: the document was deleted, or a later job or attempt works on it.
        """
        if self._indexer is None:
            self.hand_on(claim, Prepared(failure=(reason, message)))
            return None
        scope, job, failure = claim.scope, claim.job, FailureReason(reason)
        with self._in_force(claim):
            self.remove(scope, job.document_id)
            status = _STATUS.get(failure, DocumentStatus.FAILED)
            document = self._database.finish(scope, job, status, reason=failure, message=message)
        tidy(self._database, self._objects, scope, document)
        return document

    @contextmanager
    def _in_force(self, claim: Claim) -> Iterator[Indexer]:
        """Writing, as the attempt that has the say: none may undo what a later one of its document wrote."""
        assert self._indexer is not None
        with self._indexer.store.writing():
            now, _ = self._database.job(claim.scope, claim.job.id)
            if now.status is not JobStatus.RUNNING or now.attempts != claim.job.attempts:
                raise NotFoundError(f"job {claim.job.id} runs no more", param="job_id")
            yield self._indexer
