"""Trains a :class:`StaticEmbedder` on a corpus: pairs are made of the texts themselves, no labels needed."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import numpy as np
import scipy.sparse as sp

from llmflow.errors import InvalidInputError
from llmflow.korean import AnalyzedText
from llmflow.models.static_corpus import TrainingCorpus
from llmflow.models.static_embedder import Floats, StaticEmbedder, weigh
from llmflow.models.static_loss import SparseAdam, table_loss
from llmflow.settings import TrainingSettings

_WARM_UP = 50
_FINAL_RATE = 0.1
_OVERSAMPLING, _ITERATIONS = 16, 2


def train(
    texts: Iterable[AnalyzedText],
    settings: TrainingSettings,
    progress: Callable[[int, int], None] | None = None,
    stop: threading.Event | None = None,
    given_pairs: Iterable[tuple[AnalyzedText, int]] = (),
) -> StaticEmbedder | None:
    """Train on texts by InfoNCE over pairs of title and body, sentence and rest, and two partial views.

    Made for a background thread: nearly all time is spent in numpy and scipy, the texts are read
    once and kept as integers. The same texts, settings and machine give the same embedder.

    Args:
        texts: the corpus.
        progress: told the number of steps done and of steps in all, after every step.
        stop: looked at between steps; once set, the training ends.
        given_pairs: further pairs: a text and the position in ``texts`` of the text it belongs to
            (a question and its answer, a citing text and the one it cites).

    Returns:
        The embedder; None if ``stop`` was set.

    Raises:
        InvalidInputError: fewer than two texts share a term with another, or a given pair names a
            position ``texts`` does not have.
    """
    corpus = TrainingCorpus(texts, given_pairs)
    if corpus.trainable < 2:
        raise InvalidInputError(
            f"of {corpus.size} texts {corpus.trainable} share a term with another; an embedder needs at least 2 that"
            " do: ingest more documents",
            param="texts",
        )
    rng = np.random.default_rng(settings.seed)
    table = initial_table(weigh(corpus.counts, corpus.idf), settings.dimensions, rng)
    optimizer = SparseAdam(table)
    pairs = min(settings.batch_size, corpus.trainable)
    steps = min(settings.steps, math.ceil(settings.epochs * corpus.trainable / pairs))
    for step in range(steps):
        if stop is not None and stop.is_set():
            return None
        left, right = (weigh(side, corpus.idf) for side in corpus.sample(pairs, rng))
        _, rows, gradient = table_loss(table, left, right, settings.temperature)
        optimizer.step(rows, gradient, settings.learning_rate * _schedule(step, steps))
        if progress is not None:
            progress(step + 1, steps)
    return StaticEmbedder(corpus.terms, corpus.idf, table, corpus.size, settings, datetime.now(UTC))


def initial_table(weights: sp.csr_array, dimensions: int, rng: np.random.Generator) -> Floats:
    """Directions of the terms in the truncated SVD of the text-term matrix, each of length 1.

    The SVD is randomised (Halko, Martinsson and Tropp, 2011). Raw singular
    vectors are shorter for rarer terms; at equal length idf alone says how much a term weighs,
    and far smaller learning steps suffice, which keep more of what the SVD knows.

    Args:
        weights: (texts, vocabulary).

    Returns:
        (vocabulary, dimensions); dimensions beyond the rank of ``weights`` are zero.
    """
    norms = np.sqrt(weights.multiply(weights).sum(axis=1))
    lengths = np.diff(weights.indptr)
    data = weights.data / np.repeat(norms, lengths)
    texts = sp.csr_array((data, weights.indices, weights.indptr), shape=weights.shape)
    width = min(dimensions + _OVERSAMPLING, *texts.shape)
    basis = np.linalg.qr(texts @ rng.standard_normal((texts.shape[1], width), dtype=np.float32))[0]
    for _ in range(_ITERATIONS):
        basis = np.linalg.qr(texts @ (texts.T @ basis))[0]
    projected = texts.T @ basis
    variances, axes = np.linalg.eigh((projected.T @ projected).astype(np.float64))
    best = np.argsort(-variances)[:dimensions]
    best = best[variances[best] > variances[best[0]] * 1e-6]
    table = np.zeros((texts.shape[1], dimensions), dtype=np.float32)
    table[:, : best.size] = projected @ (axes[:, best] / np.sqrt(variances[best])).astype(np.float32)
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    return np.asarray(np.divide(table, lengths, out=table, where=lengths > 0))


def _schedule(step: int, steps: int) -> float:
    """Share of the peak learning rate: a linear warm-up, then a linear decay to a tenth."""
    if step < _WARM_UP:
        return (step + 1) / _WARM_UP
    return 1 - (1 - _FINAL_RATE) * (step - _WARM_UP) / max(1, steps - _WARM_UP)
