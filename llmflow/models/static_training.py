"""Trains a :class:`StaticEmbedder` on a corpus: pairs made of the texts themselves, no labels needed."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from llmflow.models.static_embedder import EmbedderText, tokens, weigh
from llmflow.models.static_loss import SparseAdam, table_loss

DROPOUT = (0.5, 0.5)
MIX = (1.0, 1.0, 1.0)
WARMUP = 50
FINAL = 0.1
SCALE = 0
ADAM = SparseAdam
import time

TIMES = {}


class TrainingCorpus:
    """Sentences as rows of token counts; a text is a weighted sum of its rows."""

    def __init__(self, texts: Iterable[EmbedderText]) -> None:
        vocabulary: dict[str, int] = {}
        ids, ends, weights, bodies, bounds = array("i"), array("q", [0]), array("f"), array("b"), array("q", [0])
        for text in texts:
            for field, (sentences, weight) in enumerate(text.fields):
                for sentence in sentences:
                    ids.extend([vocabulary.setdefault(token, len(vocabulary)) for token in tokens(sentence)])
                    ends.append(len(ids))
                    weights.append(weight)
                    bodies.append(field)
            bounds.append(len(weights))
        rows = sp.csr_array(
            (np.ones(len(ids), np.float32), np.frombuffer(ids, np.int32), np.asarray(ends, np.int64).astype(np.int32)),
            shape=(len(weights), len(vocabulary)),
        )
        rows.sum_duplicates()
        self.weight = np.array(weights, np.float32)
        self.field = np.array(bodies)
        self.bounds = np.array(bounds)
        n = len(self.bounds) - 1
        counts = self._combine(rows, np.arange(n))
        df = np.bincount(counts.indices, minlength=len(vocabulary))
        keep = np.flatnonzero(df >= 2)
        self.rows = rows[:, keep].tocsr()
        self.idf = np.log(1 + (n - df[keep] + 0.5) / (df[keep] + 0.5)).astype(np.float32)
        names = list(vocabulary)
        self.tokens = [names[i] for i in keep]
        self.counts = counts[:, keep].tocsr()

    def _combine(self, rows, texts, mask=None):
        begin, end = self.bounds[texts], self.bounds[texts + 1]
        lengths = end - begin
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        members = np.arange(indptr[-1]) + np.repeat(begin - indptr[:-1], lengths)
        w = self.weight[members]
        return sp.csr_array((w, members, indptr), shape=(len(texts), len(self.weight))) @ rows


def svd_table(weights, dimensions, rng, scale):
    t = time.time()
    unit = sp.csr_array(weights.copy())
    norms = np.sqrt(unit.multiply(unit).sum(axis=1))
    norms[norms == 0] = 1
    unit.data = unit.data / np.repeat(norms, np.diff(unit.indptr)).astype(np.float32)
    k = min(dimensions + 16, *unit.shape)
    q = np.linalg.qr(unit @ rng.standard_normal((unit.shape[1], k), dtype=np.float32))[0]
    for _ in range(2):
        q = np.linalg.qr(unit @ (unit.T @ q))[0]
    b = unit.T @ q  # V x k
    values, vectors = np.linalg.eigh((b.T @ b).astype(np.float64))
    order = np.argsort(values)[::-1][:dimensions]
    s = np.sqrt(np.maximum(values[order], 1e-12))
    table = b @ (vectors[:, order] / s * s**scale).astype(np.float32)
    out = np.zeros((unit.shape[1], dimensions), np.float32)
    out[:, : table.shape[1]] = table
    out /= np.linalg.norm(out, axis=1).mean()
    TIMES["svd"] = time.time() - t
    return out


def train_raw(corpus, settings, progress=None):
    rng = np.random.default_rng(settings.seed)
    n = len(corpus.bounds) - 1
    table = svd_table(weigh(corpus.counts, corpus.idf), settings.dimensions, rng, SCALE)
    adam = ADAM(table)
    body_start = corpus.bounds[:-1] + np.add.reduceat(np.r_[corpus.field < 2, False], corpus.bounds[:-1]) * (
        np.diff(corpus.bounds) > 0
    )
    has_title = np.zeros(n, bool)
    starts = corpus.bounds[:-1]
    has_title = (np.diff(corpus.bounds) > 0) & (corpus.field[np.minimum(starts, len(corpus.field) - 1)] == 0)
    n_body = corpus.bounds[1:] - body_start
    alive = np.flatnonzero(np.diff(corpus.counts.indptr) > 0)
    batch = min(settings.batch_size, len(alive))
    t0 = time.time()
    for step in range(settings.steps):
        chosen = rng.choice(alive, batch, replace=False)
        p = np.stack(
            [
                MIX[0] * (has_title[chosen] & (n_body[chosen] > 0)),
                MIX[1] * (n_body[chosen] > 1),
                np.full(batch, MIX[2]),
            ],
            1,
        )
        p = p / p.sum(1, keepdims=True)
        kind = (rng.random((batch, 1)) > p.cumsum(1)).sum(1).clip(0, 2)
        left, right = views(corpus, chosen, kind, body_start, n_body, rng)
        loss, rows, gradient = table_loss(
            table, weigh(left, corpus.idf), weigh(right, corpus.idf), settings.temperature
        )
        lr = settings.learning_rate * (
            min(1, (step + 1) / WARMUP)
            if step < WARMUP
            else 1 - (1 - FINAL) * (step - WARMUP) / max(1, settings.steps - WARMUP)
        )
        adam.step(rows, gradient, lr)
        if progress and step % progress == progress - 1:
            print(step + 1, round(loss, 3), round((step + 1) / (time.time() - t0), 1), "steps/s", flush=True)
    TIMES["train"] = time.time() - t0
    return table


def views(corpus, chosen, kind, body_start, n_body, rng):
    begin, end = corpus.bounds[chosen], corpus.bounds[chosen + 1]
    lengths = end - begin
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    members = np.arange(indptr[-1]) + np.repeat(begin - indptr[:-1], lengths)
    k = np.repeat(kind, lengths)
    field = corpus.field[members]
    sentence = np.repeat(body_start[chosen] + (rng.random(len(chosen)) * n_body[chosen]).astype(int), lengths)
    inleft = np.where(k == 0, field == 0, np.where(k == 1, members == sentence, True))
    inright = np.where(k == 0, field > 0, np.where(k == 1, members != sentence, True))
    out = []
    for inside, drop in ((inleft, DROPOUT[0]), (inright, DROPOUT[1])):
        w = corpus.weight[members] * inside
        m = (
            sp.csr_array(
                (w[inside], members[inside], np.concatenate([[0], np.cumsum(inside)])[indptr]),
                shape=(len(chosen), len(corpus.weight)),
            )
            @ corpus.rows
        )
        keep = (rng.random(m.data.size) >= drop) | np.repeat(kind != 2, np.diff(m.indptr))
        out.append(
            sp.csr_array(
                (m.data[keep], m.indices[keep], np.concatenate([[0], np.cumsum(keep)])[m.indptr]), shape=m.shape
            )
        )
    return out
