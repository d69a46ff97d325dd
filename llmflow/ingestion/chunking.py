"""From a parsed document to chunks: the units that are embedded, found and cited.

- A chunk begins with its innermost title; ``section_path`` holds that title and those above.
- Paragraphs of one section fill a chunk up to ``max_tokens``; the next one repeats whole
  sentences of at most ``overlap_tokens`` (and never more than half a chunk).
- An article of a statute is one chunk if it fits, else it is cut at 항, 호 and 목; every
  part begins with the article's heading, and with the opening line of the list it goes on
  with if that takes at most a quarter of the chunk. Deleted articles make no chunk.
- A table is a chunk of its own, cut at rows under a repeated header row. It begins with its
  caption or else with the end of the text before it, in at most ``overlap_tokens``.
- Text read from a picture is a chunk of its own.
- Text below :data:`~.pieces.TINY_TOKENS` joins the table it introduces, or the text of the
  section after it if that is on the same page, fits, and lies under the same parent title.
  Articles are never joined.
- A page's end closes a chunk that is at least half full. ``page`` is where the text begins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import takewhile

from llmflow.ingestion.outline import sections
from llmflow.ingestion.pieces import TINY_TOKENS, Piece, section_pieces
from llmflow.ingestion.rulebooks import with_rule_names
from llmflow.ingestion.tables import with_drawn_tables
from llmflow.korean import count_tokens
from llmflow.schema import Chunk, ElementType, ParsedDocument
from llmflow.settings import ChunkingSettings

_TEXT = (ElementType.NARRATIVE_TEXT, ElementType.TITLE)


def chunk_document(
    parsed: ParsedDocument,
    settings: ChunkingSettings,
    *,
    document_id: str,
    tenant: str,
    department: str,
    document_name: str,
) -> list[Chunk]:
    """The chunks of ``parsed``, in reading order, without exact repetitions.

    Ids are hashes of document, ordinal and text: the same document gives the same chunks.
    """
    title = " ".join(parsed.title.split())
    chunks: list[Chunk] = []
    seen: set[str] = set()
    for piece in _joined(_pieces(parsed, title, settings), settings.max_tokens):
        if piece.text in seen:
            continue
        seen.add(piece.text)
        ordinal = len(chunks)
        chunks.append(
            Chunk(
                id=_chunk_id(document_id, ordinal, piece.text),
                document_id=document_id,
                tenant=tenant,
                department=department,
                ordinal=ordinal,
                text=piece.text,
                title=title,
                document_name=document_name,
                section_path=piece.path,
                page=piece.page,
                element_type=piece.type,
                article=piece.article,
            )
        )
    return chunks


def _chunk_id(document_id: str, ordinal: int, text: str) -> str:
    return hashlib.sha256(f"{document_id}\0{ordinal}\0{text}".encode()).hexdigest()[:32]


def _pieces(parsed: ParsedDocument, title: str, settings: ChunkingSettings) -> Iterator[Piece]:
    outline = sections(with_rule_names(with_drawn_tables(parsed.elements)), title)
    for section, following in zip(outline, [*outline[1:], None], strict=True):
        depth = len(section.path)
        is_parent = following is not None and (not depth or following.path[:depth] == section.path != following.path)
        yield from section_pieces(section, settings, is_parent=is_parent)


def _joined(pieces: Iterable[Piece], max_tokens: int) -> Iterator[Piece]:
    """``pieces`` with tiny ones joined to the next."""
    waiting: Piece | None = None
    for piece in pieces:
        if waiting is not None:
            together = _together(waiting, piece)
            if together is None or count_tokens(together.text) > max_tokens:
                yield waiting
            else:
                piece = together
            waiting = None
        if piece.type in _TEXT and not piece.is_law and count_tokens(piece.text) < TINY_TOKENS:
            waiting = piece
        else:
            yield piece
    if waiting is not None:
        yield waiting


def _together(first: Piece, second: Piece) -> Piece | None:
    """Both pieces as one, if they belong together."""
    depth = max(len(first.path) - 1, 0)
    if second.type not in _TEXT or second.is_law or first.page != second.page:
        return None
    if second.path[:depth] != first.path[:depth]:
        return None
    path = tuple(a for a, b in takewhile(lambda pair: pair[0] == pair[1], zip(first.path, second.path, strict=False)))
    return replace(first, text=f"{first.text}\n\n{second.text}", type=second.type, path=path)
