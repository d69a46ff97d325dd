from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
import scipy.sparse as sp
from autograd import grad

from llmflow.models.static_loss import SparseAdam, info_nce, table_loss

TEMPERATURE = 0.1
PAIRS, VOCABULARY, DIMENSIONS = 7, 30, 5


def reference(left: Any, right: Any) -> Any:
    """Symmetric InfoNCE written down plainly, for autograd to differentiate."""
    left = left / anp.sqrt(anp.sum(left**2, axis=1, keepdims=True))
    right = right / anp.sqrt(anp.sum(right**2, axis=1, keepdims=True))
    logits = anp.dot(left, right.T) / TEMPERATURE
    own = anp.sum(left * right, axis=1) / TEMPERATURE
    by_row = anp.log(anp.sum(anp.exp(logits), axis=1)) - own
    by_column = anp.log(anp.sum(anp.exp(logits), axis=0)) - own
    return anp.mean(by_row + by_column) / 2


def weights(rng: np.random.Generator) -> sp.csr_array:
    matrix = sp.random_array((PAIRS, VOCABULARY - 4), density=0.2, rng=rng, dtype=np.float64).tocsr()
    matrix = sp.csr_array(matrix + sp.eye_array(PAIRS, VOCABULARY - 4))  # no empty rows
    return sp.csr_array((matrix.data, matrix.indices, matrix.indptr), shape=(PAIRS, VOCABULARY))


def test_gradient_of_vectors_agrees_with_autograd() -> None:
    rng = np.random.default_rng(1)
    left, right = rng.normal(size=(2, PAIRS, DIMENSIONS))
    loss, left_slope, right_slope = info_nce(left, right, TEMPERATURE)
    assert loss == pytest.approx(reference(left, right), abs=1e-12)
    np.testing.assert_allclose(left_slope, grad(reference, 0)(left, right), atol=1e-6)
    np.testing.assert_allclose(right_slope, grad(reference, 1)(left, right), atol=1e-6)


def test_gradient_of_the_table_agrees_with_autograd() -> None:
    rng = np.random.default_rng(2)
    table = rng.normal(size=(VOCABULARY, DIMENSIONS))
    left, right = weights(rng), weights(rng)

    def loss_of_table(table: Any) -> Any:
        return reference(anp.dot(left.toarray(), table), anp.dot(right.toarray(), table))

    loss, rows, slope = table_loss(table, left, right, TEMPERATURE)
    dense = np.zeros_like(table)
    dense[rows] = slope
    assert loss == pytest.approx(loss_of_table(table), abs=1e-12)
    np.testing.assert_allclose(dense, grad(loss_of_table)(table), atol=1e-6)
    assert list(rows) == sorted(set(left.indices) | set(right.indices))
    assert len(rows) <= VOCABULARY - 4


def test_an_empty_text_gets_no_gradient_and_breaks_nothing() -> None:
    left, right = np.random.default_rng(3).normal(size=(2, PAIRS, DIMENSIONS))
    left[2] = 0
    loss, left_slope, right_slope = info_nce(left, right, TEMPERATURE)
    assert np.isfinite(loss)
    assert not left_slope[2].any()
    assert np.isfinite(right_slope).all()


def test_extreme_similarities_stay_finite_in_single_precision() -> None:
    same = np.ones((4, 3), dtype=np.float32)
    loss, slope, _ = info_nce(same, -same, temperature=1e-3)
    assert loss == pytest.approx(np.log(4), rel=1e-5)
    assert slope.dtype == np.float32
    assert np.isfinite(slope).all()


def test_adam_agrees_with_dense_adam_where_every_row_is_touched() -> None:
    rng = np.random.default_rng(4)
    rows = np.arange(1500)  # more than one block
    table = rng.normal(size=(rows.size, DIMENSIONS))
    expected, mean, square = table.copy(), np.zeros_like(table), np.zeros_like(table)
    adam = SparseAdam(table)
    for step in range(1, 6):
        slope = rng.normal(size=table.shape)
        rate = 0.05 / step
        adam.step(rows, slope, rate)
        mean = 0.9 * mean + 0.1 * slope
        square = 0.999 * square + 0.001 * slope**2
        expected -= rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    np.testing.assert_allclose(table, expected, atol=1e-12)


def test_adam_leaves_other_rows_alone() -> None:
    table = np.ones((4, 2))
    adam = SparseAdam(table)
    adam.step(np.array([1, 3]), np.ones((2, 2)), 0.1)
    adam.step(np.array([1]), np.ones((1, 2)), 0.1)
    np.testing.assert_allclose(table[:, 0], [1, 0.8, 1, 0.9], atol=1e-6)
