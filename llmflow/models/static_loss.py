"""InfoNCE over a token table, its gradient by hand, and Adam for the rows a batch touches."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Matrix = NDArray[Any]

_BLOCK = 512
"""Rows Adam updates at a time, so that its operands stay in the processor's cache."""


def info_nce(left: Matrix, right: Matrix, temperature: float) -> tuple[float, Matrix, Matrix]:
    """Symmetric InfoNCE with in-batch negatives (van den Oord et al., 2018) of unnormalised vectors.

    Row ``i`` of ``left`` belongs to row ``i`` of ``right``; all other rows are its negatives.
    Similarity is the cosine; a row of zeros is similar to nothing and gets no gradient.

    Args:
        left, right: (pairs, dimensions).
        temperature: the cosine is divided by it.

    Returns:
        The mean loss in nats and its gradients with respect to ``left`` and ``right``.
    """
    left_unit, left_norm = _unit(left)
    right_unit, right_norm = _unit(right)
    logits = left_unit @ right_unit.T / temperature
    by_row, by_column = _log_softmax(logits, 1), _log_softmax(logits, 0)
    pairs = len(logits)
    loss = -(np.trace(by_row) + np.trace(by_column)) / (2 * pairs)
    slope = np.exp(by_row) + np.exp(by_column)
    slope[np.diag_indices(pairs)] -= 2
    slope /= 2 * pairs * temperature
    return (
        float(loss),
        _through_unit(slope @ right_unit, left_unit, left_norm),
        _through_unit(slope.T @ left_unit, right_unit, right_norm),
    )


def table_loss(
    table: Matrix, left: sp.csr_array, right: sp.csr_array, temperature: float
) -> tuple[float, NDArray[np.intp], Matrix]:
    """:func:`info_nce` of texts that are weighted sums of the rows of ``table``.

    Args:
        table: (vocabulary, dimensions).
        left, right: (pairs, vocabulary), the token weights of each text.

    Returns:
        The loss, the rows of ``table`` that occur (sorted), and the gradient of those rows.
    """
    pairs = left.shape[0]
    weights = sp.vstack([left, right], format="csr")
    occurs = np.zeros(len(table), dtype=bool)
    occurs[weights.indices] = True
    rows = np.flatnonzero(occurs)
    columns = (np.cumsum(occurs) - 1)[weights.indices]
    weights = sp.csr_array((weights.data, columns, weights.indptr), shape=(2 * pairs, rows.size))
    vectors = weights @ table[rows]
    loss, left_slope, right_slope = info_nce(vectors[:pairs], vectors[pairs:], temperature)
    return loss, rows, weights.T @ np.concatenate([left_slope, right_slope])


class SparseAdam:
    """Adam (Kingma and Ba, 2015) that moves, and decays the moments of, touched rows only."""

    def __init__(self, table: Matrix, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        self._table = table
        self._mean = np.zeros_like(table)
        self._square = np.zeros_like(table)
        self._beta1, self._beta2, self._epsilon = beta1, beta2, epsilon
        self._step = 0

    def step(self, rows: NDArray[np.intp], gradient: Matrix, learning_rate: float) -> None:
        """Update ``table[rows]`` in place; ``rows`` are unique, ``gradient`` has one row for each."""
        self._step += 1
        scale = learning_rate / (1 - self._beta1**self._step)
        correction = (1 - self._beta2**self._step) ** -0.5
        for begin in range(0, rows.size, _BLOCK):
            block, slope = rows[begin : begin + _BLOCK], gradient[begin : begin + _BLOCK]
            mean = self._mean[block]
            mean += (1 - self._beta1) * (slope - mean)
            self._mean[block] = mean
            square = self._square[block]
            square += (1 - self._beta2) * (slope * slope - square)
            self._square[block] = square
            root = np.sqrt(square)
            root *= correction
            root += self._epsilon
            mean *= scale
            mean /= root
            self._table[block] -= mean


def _unit(vectors: Matrix) -> tuple[Matrix, Matrix]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    norms[norms == 0] = np.inf
    return vectors / norms, norms


def _through_unit(slope: Matrix, unit: Matrix, norms: Matrix) -> Matrix:
    """Gradient before normalisation: the part along the vector itself has no effect."""
    return np.asarray((slope - unit * np.sum(slope * unit, axis=1, keepdims=True)) / norms)


def _log_softmax(logits: Matrix, axis: int) -> Matrix:
    shifted = logits - logits.max(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))
