"""Rows on their way from a worker to the process that owns the vector store.

They travel through the object store, so that neither process has to wait for the other and a
killed one loses nothing.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from llmflow.schema import Chunk
from llmflow.stores.objects import ObjectStore, staged_folder, staged_key
from llmflow.stores.queue import Claim
from llmflow.stores.vectors import ChunkRow, SparseVector


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document ready to be stored: its rows, and what its row will say.

    ``failure`` is (reason, message) of one that cannot be ingested and has no rows.
    """

    rows: tuple[ChunkRow, ...] = ()
    entities_count: int = 0
    warnings: tuple[str, ...] = ()
    failure: tuple[str, str] | None = None


_CHUNK = TypeAdapter(Chunk)


def leave_rows(objects: ObjectStore, claim: Claim, prepared: Prepared) -> None:
    """Put what an attempt prepared where the owner looks for it."""
    key = staged_key(claim.document.id, f"{claim.job.id}.{claim.job.attempts:09d}")
    objects.put(claim.scope, key, _pack(prepared))


def find_rows(objects: ObjectStore, claim: Claim) -> Prepared | None:
    """What the latest attempt of a job has left; None if nothing."""
    keys = objects.keys(claim.scope, staged_folder(claim.document.id))
    own = [key for key in keys if key.rpartition("/")[2].startswith(f"{claim.job.id}.")]
    if not own:
        return None
    with objects.open(claim.scope, max(own)) as content:
        return _unpack(content.read())


def _pack(prepared: Prepared) -> bytes:
    """As compressed JSON."""
    value = {
        "rows": [
            {
                "chunk": asdict(row.chunk),
                "lexical": _pairs(row.lexical),
                "passages": [_pairs(p) for p in row.passages],
                "embedding": base64.b64encode(row.embedding.astype("<f4").tobytes()).decode(),
                "learned": _pairs(row.learned),
                "embedder": row.embedder,
            }
            for row in prepared.rows
        ],
        "entities_count": prepared.entities_count,
        "warnings": prepared.warnings,
        "failure": prepared.failure,
    }
    return gzip.compress(json.dumps(value, ensure_ascii=False).encode(), compresslevel=1)


def _unpack(content: bytes) -> Prepared:
    value: dict[str, Any] = json.loads(gzip.decompress(content))
    rows = tuple(
        ChunkRow(
            _CHUNK.validate_python(row["chunk"]),
            _vector(row["lexical"]),
            tuple(_vector(passage) for passage in row["passages"]),
            np.frombuffer(base64.b64decode(row["embedding"]), "<f4").astype(np.float32),
            _vector(row["learned"]),
            row["embedder"],
        )
        for row in value["rows"]
    )
    failure = value["failure"]
    return Prepared(rows, value["entities_count"], tuple(value["warnings"]), tuple(failure) if failure else None)


def _pairs(vector: SparseVector) -> list[tuple[int, float]]:
    return list(vector.items())


def _vector(pairs: Sequence[tuple[int, float]]) -> SparseVector:
    return dict(pairs)
