"""The graph stage: a document's chunks become its part of the graph."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence

from llmflow.errors import ConfigurationError, LLMFlowError
from llmflow.ingestion.entities.llm import add_by_llm
from llmflow.ingestion.entities.rules import draft_by_rules
from llmflow.models.llm import LLMClient
from llmflow.schema import Chunk, Scope
from llmflow.settings import GraphSettings
from llmflow.stores.graph import DocumentGraph, GraphStore

_log = logging.getLogger(__name__)


class Linker:
    """Keeps the graph in step with the chunks; the only writer of the graph.

    Args:
        llm: finds entities too, None where only rules do.
    """

    def __init__(self, store: GraphStore, settings: GraphSettings, llm: LLMClient | None) -> None:
        if settings.extraction == "llm" and llm is None:
            raise ConfigurationError(
                "graph.extraction is llm, but llm.base_url is not set; set it, or graph.extraction to auto or rules",
                param="graph.extraction",
            )
        self.store = store
        self._timeout_s = settings.extraction_timeout_s
        self._llm = None if settings.extraction == "rules" else llm

    def extract(self, chunks: Sequence[Chunk]) -> tuple[DocumentGraph | None, tuple[str, ...]]:
        """A document's part of the graph, None where it failed, and warnings: what is missing of it, and why."""
        try:
            draft = draft_by_rules(chunks)
            stopped = add_by_llm(draft, chunks, self._llm, self._timeout_s) if self._llm else None
            return draft.finish(), (stopped,) if stopped else ()
        except Exception as error:  # whatever breaks the graph must not break the document
            return None, (_warning(chunks[0].document_id, error),)

    def write(self, scope: Scope, department: str, part: DocumentGraph | None) -> tuple[str, ...]:
        """A document's part takes the place of what the graph had of it; warnings where it does not."""
        if part is None:
            return ()
        try:
            self.store.replace(scope, department, part)
        except Exception as error:  # as above
            return (_warning(part.document_id, error),)
        return ()

    def remove(self, scope: Scope, document_id: str) -> None:
        """Remove a document from the graph.

        Raises:
            UpstreamError: the server does not answer.
        """
        self.store.delete_document(scope, document_id)

    def rebuild(self, documents: Iterable[Sequence[Chunk]]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Make the graph anew of the chunks of documents, each in reading order, everybody's.

        Documents that are not among them go.

        Yields:
            A document's id and the warnings of it, as it is done.
        """
        gone = self.store.all_documents()
        for chunks in documents:
            first = chunks[0]
            scope = Scope(first.tenant, (first.department,))
            gone.pop(first.document_id, None)
            part, warnings = self.extract(chunks)
            yield first.document_id, (*warnings, *self.write(scope, first.department, part))
        for document_id, scope in gone.items():
            self.store.delete_document(scope, document_id)


def _warning(document_id: str, error: Exception) -> str:
    _log.warning("document %s is not in the graph", document_id, exc_info=error)
    reason = error.message if isinstance(error, LLMFlowError) else f"{type(error).__name__}: {error}"
    return f"the document is not in the graph: {reason}; `llmflow graph rebuild` tries again"
