"""What a document's earlier versions and attempts left in the object store, deleted."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from llmflow.errors import LLMFlowError, NotFoundError
from llmflow.schema import Document, Scope
from llmflow.stores.database import Database
from llmflow.stores.objects import ObjectStore, original_key, originals_folder, staged_folder

_log = logging.getLogger(__name__)


def tidy(database: Database, objects: ObjectStore, scope: Scope, document: Document) -> None:
    """Delete what earlier versions of a document left; its own original stays."""
    keep = original_key(document.id, document.sha256)
    try:
        if list(_leftovers(objects, scope, document.id, keep)):
            with database.holding(scope, document.id) as now:
                forget(objects, scope, now.id, but=original_key(now.id, now.sha256))
    except NotFoundError:  # deleted meanwhile, and its files with it
        pass
    except (LLMFlowError, OSError) as error:  # the outcome stands; the next ingestion tidies
        _log.warning("leftovers of document %s stay for now: %s", document.id, error)


def forget(objects: ObjectStore, scope: Scope, document_id: str, but: str | None = None) -> None:
    """Delete a document's originals and staged rows, all ``but`` one."""
    for key in list(_leftovers(objects, scope, document_id, but)):
        objects.delete(scope, key)


def _leftovers(objects: ObjectStore, scope: Scope, document_id: str, but: str | None) -> Iterator[str]:
    for folder in (originals_folder(document_id), staged_folder(document_id)):
        yield from (key for key in objects.keys(scope, folder) if key != but)
