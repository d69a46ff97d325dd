"""A static bi-encoder: a text's vector is the weighted sum of its tokens' vectors.

It has no layers, so a query costs well under a millisecond and no torch is needed; what it
knows comes from the corpus it was trained on (:mod:`llmflow.models.static_training`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from llmflow.korean import Sentence

Array = NDArray[np.float32]

TITLE_WEIGHT, PATH_WEIGHT, BODY_WEIGHT = 2.0, 0.5, 1.0
MAX_TOKENS = 256
"""Distinct tokens of a text that count: the heaviest ones."""
_BATCH = 1024


@dataclass(frozen=True, slots=True)
class EmbedderText:
    """A text as :func:`llmflow.korean.analyze` sees it. A question has only a body."""

    body: Sequence[Sentence]
    title: Sequence[Sentence] = ()
    path: Sequence[Sentence] = ()

    @property
    def fields(self) -> tuple[tuple[Sequence[Sentence], float], ...]:
        """The parts with the number of times a token in each counts."""
        return (self.title, TITLE_WEIGHT), (self.path, PATH_WEIGHT), (self.body, BODY_WEIGHT)


def tokens(sentence: Sentence) -> list[str]:
    """Both token streams in one name space."""
    return [f"a:{gram}" for gram in sentence.grams] + [f"b:{word}" for word in sentence.words]


def weigh(counts: sp.csr_array, idf: NDArray[Any]) -> sp.csr_array:
    """Token weights of texts: (1 + ln count) x idf, the ``MAX_TOKENS`` heaviest of each row.

    Args:
        counts: (texts, vocabulary), how often each token counts in each text; no duplicates.
        idf: (vocabulary,).
    """
    data = (1.0 + np.log(counts.data)) * idf[counts.indices]
    lengths = np.diff(counts.indptr)
    if lengths.size and lengths.max() > MAX_TOKENS:
        keep = np.ones(data.size, dtype=bool)
        for row in np.flatnonzero(lengths > MAX_TOKENS):
            begin, end = counts.indptr[row : row + 2]
            surplus = end - begin - MAX_TOKENS
            keep[begin + np.argpartition(data[begin:end], surplus)[:surplus]] = False
        indptr = np.concatenate([[0], np.cumsum(keep)])[counts.indptr]
        return sp.csr_array((data[keep], counts.indices[keep], indptr), shape=counts.shape)
    return sp.csr_array((data, counts.indices, counts.indptr), shape=counts.shape)


def normalized(vectors: NDArray[Any]) -> NDArray[Any]:
    """Rows scaled to length 1; rows of zeros stay as they are."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)
