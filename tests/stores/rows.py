"""Rows of chunks made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from llmflow.schema import Chunk
from llmflow.stores.vectors import ChunkRow, SparseVector

WIDTH = 8


def row(
    id_: str,
    document: str = "doc",
    *,
    tenant: str = "acme",
    department: str = "hr",
    lexical: SparseVector | None = None,
    passages: tuple[SparseVector, ...] | None = None,
    embedding: Any = None,
    learned: SparseVector | None = None,
    **fields: Any,
) -> ChunkRow:
    """A row with the values given, one passage as the whole unless told otherwise."""
    lexical = {2: 1.0} if lexical is None else lexical
    values = {"ordinal": 0, "text": f"text of {id_}", "title": "휴가 규정", "document_name": "a.pdf"} | fields
    chunk = Chunk(id=id_, document_id=document, tenant=tenant, department=department, **values)
    vector = np.zeros(WIDTH, np.float32) if embedding is None else np.asarray(embedding, np.float32)
    return ChunkRow(chunk, lexical, (lexical,) if passages is None else passages, vector, learned or {})
