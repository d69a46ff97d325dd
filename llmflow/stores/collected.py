"""What scheduled collections have seen."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import sessionmaker

from llmflow.stores.engine import READS
from llmflow.stores.scoping import document_id
from llmflow.stores.tables import CollectedRow, DocumentRow, storable


@dataclass(frozen=True, slots=True)
class Seen:
    """A document as a collection last saw it; ``exists`` says whether it was deleted since."""

    document_id: str
    tenant: str
    department: str
    source: str
    mark: str
    exists: bool


class CollectedStore:
    """The marks of all collections.

    Args:
        engine: the metadata database's.
    """

    def __init__(self, engine: Engine) -> None:
        self._writing = sessionmaker(engine)
        self._reading = sessionmaker(engine.execution_options(**{READS: True}))

    def seen(self, collection: str) -> dict[str, Seen]:
        """What a collection saw, by the document's id."""
        query = (
            select(CollectedRow, DocumentRow.id)
            .outerjoin(DocumentRow, CollectedRow.document_id == DocumentRow.id)
            .where(CollectedRow.collection == collection)
        )
        with self._reading.begin() as session:
            return {
                row.document_id: Seen(
                    row.document_id, row.tenant, row.department, row.source, row.mark, found is not None
                )
                for row, found in session.execute(query)
            }

    def note(self, collection: str, tenant: str, department: str, source: str, mark: str) -> None:
        """Note what tells the next change of a document."""
        with self._writing.begin() as session:
            session.merge(
                CollectedRow(
                    collection=collection,
                    document_id=document_id(tenant, department, source),
                    tenant=tenant,
                    department=department,
                    source=storable(source),
                    mark=storable(mark),
                )
            )

    def forget(self, collection: str, document_id: str) -> None:
        """A document is no more the collection's."""
        with self._writing.begin() as session:
            session.execute(
                delete(CollectedRow).where(
                    CollectedRow.collection == collection, CollectedRow.document_id == document_id
                )
            )
