"""The sparse encoder: texts to term-frequency vectors over hashed terms.

Two token streams (see :func:`llmflow.korean.analyze`) share one vector: a dimension's
lowest bit says which stream it belongs to. Values are raw weighted term frequencies; BM25
weights are made at query time from live statistics, so documents can come and go.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from llmflow.korean import AnalyzedText, Sentence, analyze
from llmflow.schema import Chunk
from llmflow.settings import RetrievalSettings

SparseVector = dict[int, float]
Stream = Literal["grams", "words"]
STREAMS: tuple[Stream, ...] = ("grams", "words")
_BIT = {"grams": 0, "words": 1}
_PASSAGE_GRAMS = 120


@lru_cache(maxsize=1_000_000)
def dimension(term: str, stream: Stream) -> int:
    """The dimension of a term: an even 31-bit hash, plus one in the ``words`` stream."""
    return (zlib.crc32(term.encode()) & 0x7FFFFFFE) | _BIT[stream]


@dataclass(frozen=True, slots=True)
class EncodedText:
    """The sparse vectors of a chunk: one of the whole, one of each passage in it."""

    chunk: SparseVector
    passages: tuple[SparseVector, ...]


def analyze_chunks(chunks: Sequence[Chunk]) -> list[AnalyzedText]:
    """Chunks with their titles and section paths as sentences; repeated titles cost nothing."""
    contexts = {chunk.title: None for chunk in chunks} | {_path(chunk): None for chunk in chunks}
    analyzed = dict(zip(contexts, map(tuple, analyze(contexts)), strict=True))
    bodies = analyze(chunk.text for chunk in chunks)
    return [
        AnalyzedText(tuple(body), analyzed[chunk.title], analyzed[_path(chunk)])
        for chunk, body in zip(chunks, bodies, strict=True)
    ]


def encode(text: AnalyzedText, settings: RetrievalSettings) -> EncodedText:
    """Encode a chunk and its passages.

    A passage is a run of whole sentences of at most 120 grams. Words of the document's title
    count ``title_weight`` times, words of the section path ``path_weight`` times, in the chunk
    and in each of its passages.
    """
    extra: SparseVector = {}
    _add(extra, text.title, settings.title_weight)
    _add(extra, text.path, settings.path_weight)
    passages = tuple(_vector(passage, extra) for passage in split_passages(text.body))
    return EncodedText(_vector(text.body, extra), passages)


def encode_query(sentences: Iterable[Sentence]) -> dict[Stream, SparseVector]:
    """Term frequencies of a question, one vector a stream."""
    vector: SparseVector = {}
    _add(vector, sentences, 1.0)
    return {stream: {key: tf for key, tf in vector.items() if key & 1 == _BIT[stream]} for stream in STREAMS}


def split_passages(body: Sequence[Sentence]) -> list[list[Sentence]]:
    """Runs of whole sentences of at most 120 grams; at least one, a long sentence stays whole."""
    passages: list[list[Sentence]] = [[]]
    size = 0
    for sentence in body:
        if passages[-1] and size + len(sentence.grams) > _PASSAGE_GRAMS:
            passages.append([])
            size = 0
        passages[-1].append(sentence)
        size += len(sentence.grams)
    return passages


def _path(chunk: Chunk) -> str:
    return " ".join(chunk.section_path)


def _vector(sentences: Iterable[Sentence], extra: SparseVector) -> SparseVector:
    vector = dict(extra)
    _add(vector, sentences, 1.0)
    return vector


def _add(vector: SparseVector, sentences: Iterable[Sentence], weight: float) -> None:
    if weight == 0:
        return
    for sentence in sentences:
        for stream, terms in (("grams", sentence.grams), ("words", sentence.words)):
            for term in terms:
                key = dimension(term, stream)
                vector[key] = vector.get(key, 0.0) + weight
