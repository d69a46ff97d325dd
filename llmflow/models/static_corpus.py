"""The corpus a static embedder trains on: texts as rows of a sparse matrix, pairs as sums of rows."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from enum import IntEnum

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from llmflow.errors import InvalidInputError
from llmflow.korean import AnalyzedText
from llmflow.models.sparse import STREAMS, dimension
from llmflow.models.static_embedder import Floats

Integers = NDArray[np.int64]

_FIELD_WEIGHTS = {"title": 2.0, "path": 0.5, "body": 1.0}
_TITLE, _BODY = 0, 2
_DROPOUT = 0.5
_MAX_VOCABULARY = 200_000
"""Bounds the memory of a training: a table of this size and Adam's moments take 600 MB."""


class PairKind(IntEnum):
    """What a training pair is made of."""

    TITLE = 0
    """The title, and the text under it."""
    SENTENCE = 1
    """A sentence, and the rest of the text."""
    DROPOUT = 2
    """The text twice, each time without a random half of its terms."""
    GIVEN = 3
    """Two texts the caller says belong together."""


class TrainingCorpus:
    """Sentences as rows of term counts; a text is a run of rows.

    Args:
        texts: read once, one at a time.
        given: further pairs: a text (a question, a citing text) and the position in ``texts`` of
            the text it belongs to.

    Raises:
        InvalidInputError: a given pair names a position ``texts`` does not have.

    Attributes:
        size: number of ``texts``.
        terms: (vocabulary,) uint32, ascending: the terms at least two texts have.
        idf: (vocabulary,) float32.
        counts: (size, vocabulary), weighted term frequencies of ``texts``.
        targets: (given,) positions in ``texts``; the texts given with them come after ``texts``.
    """

    def __init__(self, texts: Iterable[AnalyzedText], given: Iterable[tuple[AnalyzedText, int]] = ()) -> None:
        rows = _Rows()
        for text in texts:
            rows.add(text)
        self.size = rows.texts
        targets = array("q")
        for text, target in given:
            if not 0 <= target < self.size:
                raise InvalidInputError(
                    f"a given pair names text {target}; texts are numbered from 0 to {self.size - 1}",
                    param="given_pairs",
                )
            rows.add(text)
            targets.append(target)
        self.targets: Integers = np.asarray(targets, dtype=np.int64)
        self._bounds: Integers = np.asarray(rows.bounds, dtype=np.int64)
        self._field = np.asarray(rows.fields, dtype=np.int8)
        self._weight = np.array(list(_FIELD_WEIGHTS.values()), dtype=np.float32)[self._field]
        self._select_vocabulary(rows)
        self._possible = self._possible_kinds()
        self._texts: Integers = np.flatnonzero(np.diff(self.counts.indptr))

    @property
    def trainable(self) -> int:
        """Number of texts with a term of the vocabulary."""
        return len(self._texts)

    def sample(self, pairs: int, rng: np.random.Generator) -> tuple[sp.csr_array, sp.csr_array]:
        """Random pairs of different texts; up to half of them given ones.

        Args:
            pairs: at most :attr:`trainable`.

        Returns:
            Left and right sides, (about ``pairs``, vocabulary) term frequencies each.
        """
        given = np.zeros(0, dtype=np.int64)
        if self.targets.size:
            given = rng.choice(self.targets.size, min(pairs // 2, self.targets.size), replace=False)
            # A text wanted twice would be its own negative.
            given = given[np.unique(self.targets[given], return_index=True)[1]]
        own = rng.choice(self._texts, pairs, replace=False)
        own = own[~np.isin(own, self.targets[given])][: pairs - given.size]
        possible = self._possible[own].cumsum(axis=1)
        kinds = (rng.random((own.size, 1)) * possible[:, -1:] >= possible).sum(axis=1)
        kinds = np.concatenate([np.full(given.size, PairKind.GIVEN), kinds])
        return self._sides(
            np.concatenate([self.size + given, own]), np.concatenate([self.targets[given], own]), kinds, rng
        )

    def _sides(
        self, left: Integers, right: Integers, kinds: Integers, rng: np.random.Generator
    ) -> tuple[sp.csr_array, sp.csr_array]:
        bodies = self._body_sentences[right]
        sentences = self._bounds[right + 1] - 1 - (rng.random(right.size) * bodies).astype(np.int64)
        sides = []
        for texts, is_left in ((left, True), (right, False)):
            rows, ends = self._rows_of(texts)
            kind, sentence = (np.repeat(values, np.diff(ends)) for values in (kinds, sentences))
            inside = np.ones(rows.size, dtype=bool)
            inside[kind == PairKind.TITLE] = ((self._field[rows] == _TITLE) == is_left)[kind == PairKind.TITLE]
            inside[kind == PairKind.SENTENCE] = ((rows == sentence) == is_left)[kind == PairKind.SENTENCE]
            ends = _ends(inside)[ends]
            sides.append(_drop(self._sum(rows[inside], ends), kinds == PairKind.DROPOUT, rng))
        return sides[0], sides[1]

    def _select_vocabulary(self, rows: _Rows) -> None:
        everything = rows.matrix()
        texts, ends = self._rows_of(np.arange(self.size))
        self._sentences = everything
        counts = self._sum(texts, ends)
        frequency = np.bincount(counts.indices, minlength=everything.shape[1])
        keep = np.argsort(-frequency, kind="stable")[:_MAX_VOCABULARY]
        keep = keep[frequency[keep] > 1]
        terms = np.fromiter(rows.vocabulary, np.uint32, len(rows.vocabulary))
        keep = keep[np.argsort(terms[keep])]
        self.terms: NDArray[np.uint32] = terms[keep]
        self.idf: Floats = np.log(1 + (self.size - frequency[keep] + 0.5) / (frequency[keep] + 0.5)).astype(np.float32)
        self._sentences = everything[:, keep]
        self.counts: sp.csr_array = counts[:, keep]

    def _possible_kinds(self) -> NDArray[np.int64]:
        """Which of the first three kinds of pair a text can make, (texts, 3) of 0 and 1."""
        starts, ends = self._bounds[:-1], self._bounds[1:]
        before = _ends(self._field == _BODY)
        self._body_sentences: Integers = before[ends] - before[starts]
        titles = _ends(self._field == _TITLE)
        has_title = titles[ends] > titles[starts]
        kinds = [has_title & (self._body_sentences > 0), self._body_sentences > 1, np.ones(has_title.size, bool)]
        return np.stack(kinds, axis=1).astype(np.int64)

    def _rows_of(self, texts: Integers) -> tuple[Integers, Integers]:
        """Row numbers of texts, one text after another, and where each text's rows end."""
        begin, lengths = self._bounds[texts], self._bounds[texts + 1] - self._bounds[texts]
        ends = np.concatenate([[0], np.cumsum(lengths)])
        return np.arange(ends[-1]) + np.repeat(begin - ends[:-1], lengths), ends

    def _sum(self, rows: Integers, ends: Integers) -> sp.csr_array:
        """Weighted sums of runs of rows."""
        shape = (len(ends) - 1, self._sentences.shape[0])
        return sp.csr_array((self._weight[rows], rows, ends), shape=shape) @ self._sentences


class _Rows:
    """Collects sentences compactly: one integer a term."""

    def __init__(self) -> None:
        self.vocabulary: dict[int, int] = {}
        self.bounds = array("q", [0])
        self.fields = array("b")
        self._columns = array("i")
        self._ends = array("q", [0])

    @property
    def texts(self) -> int:
        return len(self.bounds) - 1

    def add(self, text: AnalyzedText) -> None:
        column = self.vocabulary.setdefault
        for field, name in enumerate(_FIELD_WEIGHTS):
            for sentence in getattr(text, name):
                for stream in STREAMS:
                    keys = [dimension(term, stream) for term in getattr(sentence, stream)]
                    self._columns.extend([column(key, len(self.vocabulary)) for key in keys])
                self._ends.append(len(self._columns))
                self.fields.append(field)
        self.bounds.append(len(self.fields))

    def matrix(self) -> sp.csr_array:
        """(sentences, terms), how often each term occurs."""
        shape = (len(self.fields), len(self.vocabulary))
        data = np.ones(len(self._columns), dtype=np.float32)
        matrix = sp.csr_array((data, np.asarray(self._columns), np.asarray(self._ends)), shape=shape)
        matrix.sum_duplicates()
        return matrix


def _drop(counts: sp.csr_array, where: NDArray[np.bool_], rng: np.random.Generator) -> sp.csr_array:
    keep = (rng.random(counts.data.size) >= _DROPOUT) | ~np.repeat(where, np.diff(counts.indptr))
    return sp.csr_array((counts.data[keep], counts.indices[keep], _ends(keep)[counts.indptr]), shape=counts.shape)


def _ends(mask: NDArray[np.bool_]) -> Integers:
    """How many are set before each position, and in all."""
    return np.concatenate([[0], np.cumsum(mask)])
