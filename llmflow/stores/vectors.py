"""Chunks with their sparse and dense vectors, in Milvus (Lite by default) through pymilvus.

Two collections: ``<name>`` holds a row a chunk, ``<name>_passages`` a sparse vector for each
passage of each chunk. The name a reader uses is an alias, so that a collection written with
another embedder can be built beside the old one and swapped in; the collection's own name
ends with the version of the embedder that wrote it.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from llmflow.errors import InvalidInputError, StoreHeldError, UpstreamError
from llmflow.schema import Chunk, ElementType, Scope
from llmflow.stores.vector_schema import create_pair

# They log with a stack trace what they raise, and warn that Milvus Lite keeps no server time.
for _logger in ("pymilvus", "milvus_lite.server_manager"):
    logging.getLogger(_logger).setLevel(logging.CRITICAL)

SparseVector = dict[int, float]
NO_EMBEDDER = "none"
"""Version of a collection that was written without an embedder."""
# pymilvus pings every 10 s; gRPC servers, Milvus Lite's among them, hang up on more than one in 5 minutes.
_PING_S = 2.0
_GRPC_OPTIONS = {"grpc.keepalive_time_ms": 600_000}
_INSERT_BATCH = 500
_READ_BATCH = 1000
_EMPTY: SparseVector = {0: 2.0**-100}
"""What stands for a vector without terms: Milvus wants at least one weight."""
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r"})
_CHUNK_FIELDS = (
    "id", "document_id", "content", "tenant_id", "department", "page_number", "element_type",
    "ordinal", "title", "document_name", "section_path", "article",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """A chunk as stored: with its sparse vector, its passages' and its embedding.

    ``embedding`` is float32 of shape (dimensions,), all zero without an embedder, and of shape (0,)
    before the chunk is embedded. ``learned`` are the term weights of an embedder that gives them,
    ``embedder`` is the version of the one that made both, None before.
    """

    chunk: Chunk
    lexical: SparseVector
    passages: tuple[SparseVector, ...]
    embedding: npt.NDArray[np.float32]
    learned: SparseVector = field(default_factory=dict)
    embedder: str | None = None


class VectorStore:
    """Rows of chunks in one pair of collections.

    Args:
        uri: a file for Milvus Lite or the address of a server.
        alias: name of the collection for readers.
        dimensions: width of the embedding in a new collection; one that exists keeps its own.
        token: credentials of a server.

    Raises:
        StoreHeldError: another process has the Milvus Lite file open.
        UpstreamError: the server does not answer.
    """

    def __init__(self, uri: str, alias: str, dimensions: int, token: str | None = None) -> None:
        self.uri = uri
        self.alias = alias
        self.dimensions = self.default_dimensions = dimensions
        self.learns_terms = False
        self._write = threading.RLock()
        if "://" not in uri:
            Path(uri).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._client = MilvusClient(uri, token=token or "", grpc_options=_GRPC_OPTIONS)
        except MilvusException as error:
            if "://" in uri:
                raise UpstreamError(f"Milvus at {uri} does not answer: {error}", param="vectors.uri") from error
            raise StoreHeldError(
                f"{uri} cannot be opened: {error}. If another llmflow process runs in this folder, wait for it to"
                " end or stop it.",
                param="vectors.uri",
            ) from error
        self.version = self._open()

    def _open(self) -> str:
        """Find the collection behind the alias, or make one; return its embedder version."""
        for name in self._client.list_collections():
            if name.startswith(f"{self.alias}_v_") and self.alias in self._aliases(name):
                self._collection = name
                self._client.load_collection(name)
                self._client.load_collection(self._passages_of(name))
                self._describe(name)
                version = name.removeprefix(f"{self.alias}_v_")
                self._drop_others(name)
                return str(version)
        self._create(NO_EMBEDDER, self.dimensions, learns_terms=False)
        self._point_alias(NO_EMBEDDER, exists=False)
        return NO_EMBEDDER

    def upsert(self, scope: Scope, rows: Sequence[ChunkRow]) -> None:
        """Write chunks; a chunk already there is replaced. Durable when the call returns."""
        for row in rows:
            if row.chunk.tenant != scope.tenant or row.chunk.department not in scope.departments:
                raise InvalidInputError(
                    f"chunk {row.chunk.id} belongs to {row.chunk.tenant}/{row.chunk.department}, outside the scope"
                    f" {scope.tenant}/{','.join(scope.departments)}",
                    param="scope",
                )
        with self._write:
            known = self._read([row.chunk.id for row in rows], ("id",))
            self._insert(self._collection, rows, learns_terms=self.learns_terms)
            if known:
                self._drop_surplus_passages({row["id"] for row in known}, rows)

    def delete_document(self, scope: Scope, document_id: str) -> None:
        """Remove every chunk and passage of a document."""
        condition = f"{_scope_filter(scope)} and document_id == {_quote(document_id)}"
        with self._write:
            for name in (self._collection, self._passages_of(self._collection)):
                self._client.delete(name, filter=condition)

    def get(self, scope: Scope, ids: Sequence[str]) -> dict[str, Chunk]:
        """Chunks by id; ids outside the scope are left out."""
        # By primary key, scope checked here: a filter would scan every row.
        chunks = (_chunk(row) for row in self._read(ids, _CHUNK_FIELDS))
        return {
            chunk.id: chunk
            for chunk in chunks
            if chunk.tenant == scope.tenant and chunk.department in scope.departments
        }

    def chunks_of(self, scope: Scope, document_id: str) -> list[Chunk]:
        """A document's chunks in reading order."""
        condition = f"{_scope_filter(scope)} and document_id == {_quote(document_id)}"
        rows = self._iterate(self._collection, condition, _CHUNK_FIELDS)
        return sorted((_chunk(row) for row in rows), key=lambda chunk: chunk.ordinal)

    def rows(self) -> Iterator[ChunkRow]:
        """Every row of every tenant: for building the in-memory index, never for answering."""
        passages: dict[str, list[tuple[str, SparseVector]]] = {}
        for row in self._iterate(self._passages_of(self._collection), "", ("id", "chunk_id", "lexical")):
            passages.setdefault(row["chunk_id"], []).append((row["id"], _sparse(row["lexical"])))
        learned = ("learned",) if self.learns_terms else ()
        for row in self._iterate(self._collection, "", (*_CHUNK_FIELDS, "lexical", "embedding", *learned)):
            own = sorted(passages.get(row["id"], []), key=lambda item: int(item[0].rpartition("#")[2]))
            yield ChunkRow(
                _chunk(row), _sparse(row["lexical"]), tuple(vector for _, vector in own),
                np.asarray(row["embedding"], dtype=np.float32), _sparse(row["learned"]) if learned else {},
                self.version,
            )  # fmt: skip

    def is_empty(self) -> bool:
        """Whether it holds no chunk, of any tenant."""
        found = self._client.query(
            self._collection, filter="id != ''", output_fields=["id"], limit=1, consistency_level="Strong"
        )
        return not found

    def ping(self) -> None:
        """Call the store now; answer, or raise.

        Raises:
            UpstreamError: it does not answer.
        """
        try:
            self._client.has_collection(self._collection, timeout=_PING_S)
        except MilvusException as error:
            raise UpstreamError(f"Milvus at {self.uri} does not answer: {error}", param="vectors.uri") from error

    def flush(self) -> None:
        """Turn rows just written into indexed segments; searching and reading them gets faster."""
        for name in (self._collection, self._passages_of(self._collection)):
            self._client.flush(name)

    def rebuild(
        self, version: str, rows: Sequence[ChunkRow], dimensions: int | None = None, *, learns_terms: bool = False
    ) -> None:
        """Write all rows into a new collection for another embedder version and swap it in.

        Readers see the old collection until the swap; writers wait. Where the rows are of that
        version already, nothing is to be done.

        Args:
            dimensions: width of the embeddings; default: that of the rows, or as before.
            learns_terms: whether the rows have ``learned`` weights.
        """
        with self._write:
            if version == self.version:
                return
            if dimensions is None:
                dimensions = len(rows[0].embedding) if rows else self.dimensions
            self._create(version, dimensions, learns_terms=learns_terms)
            name = f"{self.alias}_v_{version}"
            self._insert(name, rows, learns_terms=learns_terms)
            for written in (name, self._passages_of(name)):
                self._client.flush(written)
            self._point_alias(version, exists=True)
            self._drop_others(name)
            self.version, self.dimensions, self.learns_terms = version, dimensions, learns_terms

    def writing(self) -> threading.RLock:
        """The lock writers hold; take it to keep the rows still for longer than one call."""
        return self._write

    def close(self) -> None:
        """Flush and release the store."""
        with self._write:
            self._client.close()
            if "://" not in self.uri:
                # The client alone would leave the engine running, and the file locked, until the process ends.
                from milvus_lite.server_manager import server_manager_instance

                server_manager_instance.release_server(self.uri)

    def _insert(self, collection: str, rows: Sequence[ChunkRow], *, learns_terms: bool) -> None:
        now = int(datetime.now(UTC).timestamp())
        for start in range(0, len(rows), _INSERT_BATCH):
            batch = rows[start : start + _INSERT_BATCH]
            passages = [
                {
                    "id": f"{row.chunk.id}#{index}", "chunk_id": row.chunk.id, "document_id": row.chunk.document_id,
                    "tenant_id": row.chunk.tenant, "department": row.chunk.department, "lexical": vector or _EMPTY,
                }
                for row in batch
                for index, vector in enumerate(row.passages)
            ]  # fmt: skip
            for at in range(0, len(passages), _INSERT_BATCH):
                self._client.upsert(self._passages_of(collection), passages[at : at + _INSERT_BATCH])
            if batch:
                self._client.upsert(collection, [_row(row, now, learns_terms) for row in batch])

    def _drop_surplus_passages(self, replaced: set[str], rows: Sequence[ChunkRow]) -> None:
        """Remove passages that replaced chunks had and their replacements have not."""
        current = [f"{row.chunk.id}#{index}" for row in rows for index in range(len(row.passages))]
        self._client.delete(
            self._passages_of(self._collection),
            filter=f"chunk_id in {_quote_all(sorted(replaced))} and id not in {_quote_all(current)}",
        )

    def _read(self, ids: Sequence[str], fields: Sequence[str]) -> list[dict[str, Any]]:
        if not ids:
            return []
        condition = f"id in {_quote_all(ids)}"  # the client's own get() puts ids between quotes as they are
        return list(self._client.query(self._collection, filter=condition, output_fields=list(fields)))

    def _iterate(self, collection: str, condition: str, fields: Sequence[str]) -> Iterator[dict[str, Any]]:
        iterator = self._client.query_iterator(
            collection, batch_size=_READ_BATCH, filter=condition, output_fields=list(fields)
        )
        try:
            while batch := iterator.next():
                yield from batch
        finally:
            iterator.close()

    def _create(self, version: str, dimensions: int, *, learns_terms: bool) -> None:
        name = f"{self.alias}_v_{version}"
        create_pair(self._client, name, self._passages_of(name), dimensions, learns_terms=learns_terms)

    def _point_alias(self, version: str, *, exists: bool) -> None:
        name = f"{self.alias}_v_{version}"
        change = self._client.alter_alias if exists else self._client.create_alias
        change(collection_name=name, alias=self.alias)
        self._collection = name

    def _describe(self, collection: str) -> None:
        fields = {each["name"]: each for each in self._client.describe_collection(collection)["fields"]}
        self.dimensions = int(fields["embedding"]["params"]["dim"])
        self.learns_terms = "learned" in fields

    def _aliases(self, collection: str) -> list[str]:
        return list(self._client.list_aliases(collection)["aliases"])

    def _drop_others(self, keep: str) -> None:
        """Drop what a swap replaced, or what a killed rebuild left half written."""
        for name in self._client.list_collections():
            if name.startswith(f"{self.alias}_v_") and name not in (keep, self._passages_of(keep)):
                self._client.drop_collection(name)

    @staticmethod
    def _passages_of(collection: str) -> str:
        return f"{collection}_passages"


def _row(row: ChunkRow, created_at: int, learns_terms: bool) -> dict[str, Any]:
    chunk = row.chunk
    learned = {"learned": row.learned or _EMPTY} if learns_terms else {}
    return learned | {
        "id": chunk.id,
        "document_id": chunk.document_id,
        "content": chunk.text,
        "embedding": row.embedding,
        "lexical": row.lexical or _EMPTY,
        "tenant_id": chunk.tenant,
        "department": chunk.department,
        "page_number": -1 if chunk.page is None else chunk.page,
        "element_type": chunk.element_type.value,
        "created_at": created_at,
        "ordinal": chunk.ordinal,
        "title": chunk.title,
        "document_name": chunk.document_name,
        "section_path": json.dumps(chunk.section_path, ensure_ascii=False),
        "article": chunk.article or "",
    }


def _chunk(row: dict[str, Any]) -> Chunk:
    return Chunk(
        id=row["id"],
        document_id=row["document_id"],
        tenant=row["tenant_id"],
        department=row["department"],
        ordinal=row["ordinal"],
        text=row["content"],
        title=row["title"],
        document_name=row["document_name"],
        section_path=tuple(json.loads(row["section_path"])),
        page=None if row["page_number"] < 0 else row["page_number"],
        element_type=ElementType(row["element_type"]),
        article=row["article"] or None,
    )


def _sparse(stored: dict[int, float]) -> SparseVector:
    vector = {int(key): float(value) for key, value in stored.items()}
    return {} if vector == _EMPTY else vector


def _quote(value: str) -> str:
    """A string of Milvus's filter language; it knows fewer escapes than JSON and takes other control characters raw."""
    return f'"{value.translate(_ESCAPES)}"'


def _quote_all(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_quote, values))}]"


def _scope_filter(scope: Scope) -> str:
    return f"tenant_id == {_quote(scope.tenant)} and department in {_quote_all(scope.departments)}"
