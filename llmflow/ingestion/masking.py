"""The mask stage: no personal data goes further than this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llmflow.pii.masker import Masker
from llmflow.schema import Chunk


def mask_chunks(masker: Masker, chunks: Sequence[Chunk]) -> tuple[list[Chunk], int]:
    """Chunks with personal data masked in text, title and section path, and how much there was in the texts."""
    texts = masker.mask_many(chunk.text for chunk in chunks)
    contexts = {context: "" for chunk in chunks for context in (chunk.title, *chunk.section_path)}
    masked = dict(zip(contexts, (found.text for found in masker.mask_many(contexts)), strict=True))
    return [
        replace(
            chunk,
            text=found.text,
            title=masked[chunk.title],
            section_path=tuple(masked[title] for title in chunk.section_path),
        )
        for chunk, found in zip(chunks, texts, strict=True)
    ], sum(len(found.entities) for found in texts)
