"""The fields and indexes of the two collections that hold chunks and their passages."""

from __future__ import annotations

from typing import Any

from pymilvus import DataType, MilvusClient

_MAX_TEXT = 65_535


def create_pair(client: MilvusClient, chunks: str, passages: str, dimensions: int, *, learns_terms: bool) -> None:
    """Make both collections, empty; whatever has their names is dropped.

    Args:
        dimensions: width of the embeddings.
        learns_terms: whether chunks have term weights that an embedder learned.
    """
    for name in (chunks, passages):
        if client.has_collection(name):
            client.drop_collection(name)
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    _add_keys(schema)
    schema.add_field("content", DataType.VARCHAR, max_length=_MAX_TEXT)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=dimensions)
    schema.add_field("page_number", DataType.INT64)
    schema.add_field("element_type", DataType.VARCHAR, max_length=32)
    schema.add_field("created_at", DataType.INT64)
    schema.add_field("ordinal", DataType.INT64)
    schema.add_field("title", DataType.VARCHAR, max_length=_MAX_TEXT)
    schema.add_field("document_name", DataType.VARCHAR, max_length=_MAX_TEXT)
    schema.add_field("section_path", DataType.VARCHAR, max_length=_MAX_TEXT)
    schema.add_field("article", DataType.VARCHAR, max_length=64)
    index = _index(client)
    index.add_index("embedding", index_type="FLAT", metric_type="IP")
    if learns_terms:
        schema.add_field("learned", DataType.SPARSE_FLOAT_VECTOR)
        index.add_index("learned", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    _make(client, chunks, schema, index)
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    _add_keys(schema)
    schema.add_field("chunk_id", DataType.VARCHAR, max_length=64)
    _make(client, passages, schema, _index(client))


def _make(client: MilvusClient, name: str, schema: Any, index: Any) -> None:
    client.create_collection(name, schema=schema)
    # In step, the client sleeps half a second for each index; loading waits for all of them anyway.
    client.create_index(name, index, sync=False)
    client.load_collection(name)


def _index(client: MilvusClient) -> Any:
    index = client.prepare_index_params()
    index.add_index("lexical", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    for key in ("tenant_id", "department", "document_id"):
        index.add_index(key, index_type="INVERTED")
    return index


def _add_keys(schema: Any) -> None:
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
    schema.add_field("document_id", DataType.VARCHAR, max_length=512)
    schema.add_field("tenant_id", DataType.VARCHAR, max_length=256)
    schema.add_field("department", DataType.VARCHAR, max_length=256)
    schema.add_field("lexical", DataType.SPARSE_FLOAT_VECTOR)
