"""The search index: what the vector store holds, in memory, ready to be scored.

Built from the store's rows at start and kept in step by whoever writes to the store. Rows
live in segments by tenant and department; statistics are taken over the segments a scope
may see, so nobody's scores depend on documents they cannot read. Readers work on an
unchanging view; writers replace segments.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from llmflow.schema import Scope
from llmflow.stores.postings import Floats, Matched, Postings, bm25, match, to_arrays
from llmflow.stores.vectors import ChunkRow

Level = Literal["chunk", "passage"]
LEVELS: tuple[Level, ...] = ("chunk", "passage")
_LAW_SPACES = str.maketrans("", "", " ·ㆍ")


@dataclass(frozen=True, slots=True)
class LegScores:
    """A leg's score of every row of a view, and the highest score the query allows.

    ``explain`` says in words why a row has its score, for who asks; None where it has nothing to add.
    """

    scores: Floats
    bound: float
    explain: Callable[[int], str | None] = lambda _: None


@dataclass(frozen=True, slots=True)
class _Segment:
    """Rows of one department.

    ``first`` (n + 1) is where each chunk's passages begin; ``peaks`` (n,) is each row's largest
    learned weight, 0 where it has none.
    """

    ids: tuple[str, ...]
    documents: tuple[str, ...]
    rows: Mapping[str, int]
    document_rows: Mapping[str, tuple[int, ...]]
    references: Mapping[tuple[str, str], tuple[int, ...]]
    live: npt.NDArray[np.bool_]
    first: npt.NDArray[np.int64]
    chunks: Postings
    passages: Postings
    vectors: Floats
    learned: Postings
    peaks: Floats

    def live_passages(self) -> npt.NDArray[np.bool_]:
        return np.repeat(self.live, np.diff(self.first))


@dataclass(frozen=True, slots=True)
class _Rows:
    segments: dict[tuple[str, str], tuple[_Segment, ...]]
    version: str | None


@dataclass(frozen=True)
class View:
    """An unchanging picture of the rows a scope may see; rows count through all segments.

    ``version`` names the embedder of the rows' vectors, where it is known.
    """

    segments: tuple[_Segment, ...]
    version: str | None = None

    def __len__(self) -> int:
        return int(self.live.sum())

    @cached_property
    def live(self) -> npt.NDArray[np.bool_]:
        """Which rows exist, of shape (rows,)."""
        return np.concatenate([segment.live for segment in self.segments]) if self.segments else np.empty(0, bool)

    @cached_property
    def documents(self) -> npt.NDArray[np.int64]:
        """A number for each row's document, the same for rows of one document."""
        names = (hash(document) for segment in self.segments for document in segment.documents)
        return np.fromiter(names, np.int64, len(self.live))

    def of_documents(self, documents: Container[str]) -> npt.NDArray[np.bool_]:
        """Which rows exist and belong to one of ``documents``, of shape (rows,)."""
        wanted = (document in documents for segment in self.segments for document in segment.documents)
        found: npt.NDArray[np.bool_] = self.live & np.fromiter(wanted, bool, len(self.live))
        return found

    def rows_of_chunk(self, chunk_id: str) -> tuple[int, ...]:
        """The row of a chunk, where the view has it: none or one."""
        return tuple(
            offset + segment.rows[chunk_id]
            for offset, segment in zip(self._offsets.tolist(), self.segments, strict=False)
            if chunk_id in segment.rows and segment.live[segment.rows[chunk_id]]
        )

    def rows_of_document(self, document_id: str) -> tuple[int, ...]:
        """The rows of a document's chunks, where the view has it."""
        return tuple(
            offset + row
            for offset, segment in zip(self._offsets.tolist(), self.segments, strict=False)
            for row in segment.document_rows.get(document_id, ())
            if segment.live[row]
        )

    @cached_property
    def _offsets(self) -> npt.NDArray[np.int64]:
        return np.cumsum([0, *(len(segment.ids) for segment in self.segments)])

    def chunk_id(self, row: int) -> str:
        """The chunk a row stands for."""
        segment, at = self._locate(row)
        return segment.ids[at]

    def document_id(self, row: int) -> str:
        """The document a row's chunk belongs to."""
        segment, at = self._locate(row)
        return segment.documents[at]

    def _locate(self, row: int) -> tuple[_Segment, int]:
        number = int(np.searchsorted(self._offsets, row, side="right")) - 1
        return self.segments[number], row - int(self._offsets[number])

    def lexical(self, level: Level, query: Mapping[int, float], k1: float, b: float) -> LegScores:
        """BM25 of every row for one stream of a query; a chunk's passages count by the best."""
        keys, query_tf = to_arrays(query)
        scores, bound = bm25([self._match(segment, level, keys) for segment in self.segments], query_tf, k1, b)
        if level == "passage":
            scores = [
                np.maximum.reduceat(score, segment.first[:-1]) if len(score) else score
                for segment, score in zip(self.segments, scores, strict=True)
            ]
        return LegScores(np.concatenate(scores) if scores else np.empty(0, np.float32), bound)

    def dense(self, vector: Floats) -> LegScores:
        """Inner product of every row's embedding with ``vector`` (dimensions,); 0 for rows that are gone."""
        scores = [np.where(segment.live, segment.vectors @ vector, np.float32(0)) for segment in self.segments]
        return LegScores(np.concatenate(scores) if scores else np.empty(0, np.float32), 1.0)

    @cached_property
    def learns_terms(self) -> bool:
        """Whether a row has weights that an embedder learned."""
        return self._peak > 0

    @cached_property
    def _peak(self) -> float:
        learned = [segment for segment in self.segments if len(segment.learned.terms)]
        return max((float(segment.peaks[segment.live].max(initial=0)) for segment in learned), default=0.0)

    def learned(self, query: Mapping[int, float]) -> LegScores:
        """Inner product of every row's learned term weights with the query's, over the highest one possible.

        That is the product with a row that gives every term of the query, those no row has
        included, the largest weight any row gives to any term. Weights are positive, so scores lie
        in [0, 1].
        """
        keys, weights = to_arrays(query)
        bound = float(weights.sum()) * self._peak
        scores = []
        for segment in self.segments:
            matched = match(segment.learned, segment.live, keys)
            part = weights[matched.term] * matched.tf
            score = np.bincount(matched.rows, weights=part, minlength=len(segment.live))
            scores.append((score / bound if bound > 0 else score).astype(np.float32))
        return LegScores(np.concatenate(scores) if scores else np.empty(0, np.float32), 1.0)

    def article(self, law: str | None, article: str) -> npt.NDArray[np.int64]:
        """Rows of an article of a statute.

        Args:
            law: words that end with the law's name; the longest run of them that is the title
                of a document or of a section above the article, spaces aside, counts. None: any.
            article: as in :class:`~llmflow.schema.Chunk`.
        """
        if law is None:
            return self._article_rows(None, article)
        words = law.split()
        for start in range(len(words)):
            rows = self._article_rows("".join(words[start:]).translate(_LAW_SPACES), article)
            if len(rows):
                return rows
        return np.empty(0, dtype=np.int64)

    def _article_rows(self, title: str | None, article: str) -> npt.NDArray[np.int64]:
        found = [
            int(offset) + row
            for offset, segment in zip(self._offsets, self.segments, strict=False)
            for key in ([(title, article)] if title is not None else [k for k in segment.references if k[1] == article])
            for row in segment.references.get(key, ())
            if segment.live[row]
        ]
        return np.unique(np.array(found, dtype=np.int64))

    @staticmethod
    def _match(segment: _Segment, level: Level, keys: npt.NDArray[np.uint32]) -> Matched:
        if level == "chunk":
            return match(segment.chunks, segment.live, keys)
        return match(segment.passages, segment.live_passages(), keys)


class SearchIndex:
    """Segments by (tenant, department). Safe to read while one writer changes it."""

    def __init__(self, rows: Iterable[ChunkRow] = (), version: str | None = None) -> None:
        self._lock = threading.Lock()
        self._rows = _Rows({}, version)
        self.upsert(list(rows))

    def view(self, scope: Scope) -> View:
        """The rows of the scope's tenant and departments as they are now."""
        rows = self._rows
        parts = [rows.segments.get((scope.tenant, department), ()) for department in dict.fromkeys(scope.departments)]
        return View(tuple(segment for part in parts for segment in part), rows.version)

    def upsert(self, rows: Sequence[ChunkRow]) -> None:
        """Add chunks; a chunk with the same id is replaced."""
        groups: dict[tuple[str, str], list[ChunkRow]] = {}
        for row in rows:
            groups.setdefault((row.chunk.tenant, row.chunk.department), []).append(row)
        with self._lock:
            for key, group in groups.items():
                new = {row.chunk.id for row in group}
                old = tuple(
                    _without(segment, [id_ in new for id_ in segment.ids])
                    for segment in self._rows.segments.get(key, ())
                )
                self._rows.segments[key] = _compact((*old, _segment(group)))

    def delete_document(self, scope: Scope, document_id: str) -> None:
        """Remove a document's chunks."""
        with self._lock:
            for department in scope.departments:
                key = (scope.tenant, department)
                if key in self._rows.segments:
                    self._rows.segments[key] = _compact(tuple(
                        _without(segment, [document == document_id for document in segment.documents])
                        for segment in self._rows.segments[key]
                    ))  # fmt: skip

    def replace_all(self, rows: Iterable[ChunkRow], version: str | None = None) -> None:
        """Start anew from ``rows``; readers see either the old rows or the new ones."""
        other = SearchIndex(rows, version)
        with self._lock:
            self._rows = other._rows

    def count(self) -> int:
        """Live chunks of everybody."""
        return sum(int(segment.live.sum()) for part in self._rows.segments.values() for segment in part)


def _segment(rows: Sequence[ChunkRow]) -> _Segment:
    references: dict[tuple[str, str], list[int]] = {}
    for number, row in enumerate(rows):
        if row.chunk.article:
            # A rule book names its rules in the section path.
            for name in {row.chunk.title, *row.chunk.section_path}:
                references.setdefault((name.translate(_LAW_SPACES), row.chunk.article), []).append(number)
    ids = tuple(row.chunk.id for row in rows)
    documents = tuple(row.chunk.document_id for row in rows)
    return _Segment(
        ids=ids,
        documents=documents,
        rows=_positions(ids),
        document_rows=_groups(documents),
        references={key: tuple(numbers) for key, numbers in references.items()},
        live=np.ones(len(rows), dtype=bool),
        first=np.cumsum([0, *(len(row.passages) for row in rows)]),
        chunks=Postings.build([to_arrays(row.lexical) for row in rows]),
        passages=Postings.build([to_arrays(passage) for row in rows for passage in row.passages]),
        vectors=np.stack([row.embedding for row in rows]).astype(np.float32),
        learned=Postings.build([to_arrays(row.learned) for row in rows]),
        peaks=np.array([max(row.learned.values(), default=0.0) for row in rows], dtype=np.float32),
    )


def _positions(ids: Sequence[str]) -> dict[str, int]:
    return {id_: row for row, id_ in enumerate(ids)}


def _groups(documents: Sequence[str]) -> dict[str, tuple[int, ...]]:
    groups: dict[str, list[int]] = {}
    for row, document in enumerate(documents):
        groups.setdefault(document, []).append(row)
    return {document: tuple(rows) for document, rows in groups.items()}


def _without(segment: _Segment, dead: Sequence[bool]) -> _Segment:
    gone = np.array(dead, dtype=bool)
    return replace(segment, live=segment.live & ~gone) if gone.any() else segment


def _compact(segments: Iterable[_Segment]) -> tuple[_Segment, ...]:
    """Drop empty segments and join small ones, in order.

    Each segment is at least twice as large as the next, so there are few of them, and a row is
    copied about log2 n times however its neighbours arrive. Half-dead segments lose their dead.
    """
    kept: list[_Segment] = []
    for segment in segments:
        alive = int(segment.live.sum())
        if not alive:
            continue
        kept.append(segment if 2 * alive > len(segment.ids) else _join([segment]))
        while len(kept) > 1 and len(kept[-2].ids) < 2 * len(kept[-1].ids):
            kept[-2:] = [_join(kept[-2:])]
    return tuple(kept)


def _join(segments: Sequence[_Segment]) -> _Segment:
    lives = [segment.live for segment in segments]
    live = np.concatenate(lives)
    renumbered = np.cumsum(live) - 1
    offsets = np.cumsum([0, *(len(segment.ids) for segment in segments)])
    references: dict[tuple[str, str], tuple[int, ...]] = {}
    for offset, segment in zip(offsets, segments, strict=False):
        for key, rows in segment.references.items():
            alive = tuple(int(renumbered[offset + row]) for row in rows if segment.live[row])
            if alive:
                references[key] = (*references.get(key, ()), *alive)
    sizes = np.concatenate([np.diff(segment.first) for segment in segments])[live]
    flags = live.tolist()
    every_id = [id_ for segment in segments for id_ in segment.ids]
    every_document = [document for segment in segments for document in segment.documents]
    ids = tuple(id_ for id_, alive in zip(every_id, flags, strict=True) if alive)
    documents = tuple(document for document, alive in zip(every_document, flags, strict=True) if alive)
    return _Segment(
        ids=ids,
        documents=documents,
        rows=_positions(ids),
        document_rows=_groups(documents),
        references=references,
        live=np.ones(int(live.sum()), dtype=bool),
        first=np.concatenate([[0], np.cumsum(sizes)]),
        chunks=_join_postings([segment.chunks for segment in segments], lives),
        passages=_join_postings(
            [segment.passages for segment in segments], [segment.live_passages() for segment in segments]
        ),
        vectors=np.concatenate([segment.vectors for segment in segments])[live],
        learned=_join_postings([segment.learned for segment in segments], lives),
        peaks=np.concatenate([segment.peaks for segment in segments])[live],
    )


def _join_postings(parts: Sequence[Postings], lives: Sequence[npt.NDArray[np.bool_]]) -> Postings:
    offsets = np.cumsum([0, *(len(live) for live in lives)])
    live = np.concatenate(lives)
    renumbered = np.cumsum(live) - 1
    keys = np.concatenate([np.repeat(part.terms, np.diff(part.offsets)) for part in parts])
    rows = np.concatenate([part.rows + offset for part, offset in zip(parts, offsets, strict=False)])
    tf = np.concatenate([part.tf for part in parts])
    keep = live[rows]
    keys, rows, tf = keys[keep], renumbered[rows[keep]].astype(np.int32), tf[keep]
    return Postings.from_triples(keys, rows, tf, int(live.sum()))
