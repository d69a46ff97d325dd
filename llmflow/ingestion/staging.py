"""Rows on their way from a worker to the process that owns the vector store.

They travel through the object store, so that neither process has to wait for the other and a
killed one loses nothing.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from llmflow.schema import Chunk
from llmflow.stores.vectors import ChunkRow, SparseVector


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document ready to be stored: its rows without embeddings, and what its row will say.

    ``failure`` is (reason, message) of one that cannot be ingested and has no rows.
    """

    rows: tuple[ChunkRow, ...] = ()
    entities_count: int = 0
    warnings: tuple[str, ...] = ()
    failure: tuple[str, str] | None = None


_CHUNK = TypeAdapter(Chunk)


def pack(prepared: Prepared) -> bytes:
    """As compressed JSON."""
    value = {
        "rows": [
            {"chunk": asdict(row.chunk), "lexical": _pairs(row.lexical), "passages": [_pairs(p) for p in row.passages]}
            for row in prepared.rows
        ],
        "entities_count": prepared.entities_count,
        "warnings": prepared.warnings,
        "failure": prepared.failure,
    }
    return gzip.compress(json.dumps(value, ensure_ascii=False).encode(), compresslevel=1)


def unpack(content: bytes, dimensions: int) -> Prepared:
    """What :func:`pack` packed, with embeddings of zeros, ``dimensions`` wide."""
    value: dict[str, Any] = json.loads(gzip.decompress(content))
    rows = tuple(
        ChunkRow(
            _CHUNK.validate_python(row["chunk"]),
            _vector(row["lexical"]),
            tuple(_vector(passage) for passage in row["passages"]),
            np.zeros(dimensions, np.float32),
        )
        for row in value["rows"]
    )
    failure = value["failure"]
    return Prepared(rows, value["entities_count"], tuple(value["warnings"]), tuple(failure) if failure else None)


def _pairs(vector: SparseVector) -> list[tuple[int, float]]:
    return list(vector.items())


def _vector(pairs: Sequence[tuple[int, float]]) -> SparseVector:
    return dict(pairs)
