"""BGE-M3 (Chen et al. 2024) in this process: dense vectors and learned term weights of one forward pass.

FlagEmbedding loads the model. Its ``encode`` runs the first batch twice, to find a size that
fits, and draws progress bars; here the model is called directly.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np

from llmflow.errors import ConfigurationError, DeadlineError
from llmflow.models.embedder import Embedded, EmbedderInput, Floats, name_part, unit_rows
from llmflow.models.flag import load_flag_model
from llmflow.models.sparse import SparseVector
from llmflow.settings import EmbedderSettings

_SAMPLES, _SAMPLE_BYTES = 16, 65_536


class BgeM3Embedder:
    """A BGE-M3 model of a folder or a hub; on the first GPU where there is one.

    Raises:
        ConfigurationError: FlagEmbedding is not installed, or the model cannot be loaded.
    """

    learns_terms = True

    def __init__(self, settings: EmbedderSettings) -> None:
        self._settings = settings
        self._next = threading.Lock()
        self._lock = threading.Lock()  # tokenizers are not safe between threads, and one forward pass fills the device
        self._runner, self._device = load_flag_model(
            "BGEM3FlagModel", "embedder", settings.model, normalize_embeddings=False
        )
        config = self._runner.model.model.config
        self.dimensions = int(config.hidden_size)
        # XLM-R counts positions from the padding id on.
        self._max_tokens = min(settings.max_tokens, int(config.max_position_embeddings) - 2)

    @cached_property
    def version(self) -> str:
        """Of a folder, with a hash of its files, so that it is known again wherever it lies."""
        folder = Path(self._settings.model)
        named = f"{folder.name} {_fingerprint(folder)}" if folder.is_dir() else self._settings.model
        return f"bge_m3_{name_part(named)}_{self.dimensions}"

    def documents(self, texts: Sequence[EmbedderInput]) -> Embedded:
        """Vectors of texts to be found, long ones cut at ``max_tokens``."""
        return self._embed([text.text for text in texts], None)

    def query(self, text: EmbedderInput, deadline: float | None = None) -> Embedded:
        """Vectors of one question; the deadline is for its turn, a forward pass cannot be held to one."""
        return self._embed([self._settings.query_prefix + text.text], deadline)

    def _embed(self, texts: Sequence[str], deadline: float | None) -> Embedded:
        dense: Floats = np.zeros((len(texts), self.dimensions), np.float32)
        sparse: list[SparseVector] = [{} for _ in texts]
        tokens: list[list[int]] = []
        size = self._settings.batch_size
        for start in range(0, len(texts), size):
            batch = list(texts[start : start + size])
            with self._turn(deadline):
                tokens += self._runner.tokenizer(batch, truncation=True, max_length=self._max_tokens)["input_ids"]
        order = sorted(range(len(texts)), key=lambda row: -len(tokens[row]))  # alike lengths need little padding
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            with self._turn(deadline):
                vectors, weights = self._forward([tokens[row] for row in rows])
            dense[rows] = vectors
            for row, values in zip(rows, weights, strict=True):
                sparse[row] = _heaviest(tokens[row], values, self._ignored)
        return Embedded(unit_rows(dense), self.version, tuple(sparse))

    @contextmanager
    def _turn(self, deadline: float | None) -> Iterator[None]:
        """The model for one batch. A document asks anew for each of its batches: a question need not wait for all."""
        if not _acquire(self._next, deadline):
            raise _busy()
        try:
            mine = _acquire(self._lock, deadline)  # whoever has it now cannot take it again before
        finally:
            self._next.release()
        if not mine:
            raise _busy()
        try:
            yield
        finally:
            self._lock.release()

    def _forward(self, tokens: list[list[int]]) -> tuple[Floats, Floats]:
        """(n, dimensions) and (n, longest) of texts as token ids."""
        import torch

        batch = self._runner.tokenizer.pad({"input_ids": tokens}, padding=True, return_tensors="pt")
        try:
            with torch.inference_mode():
                given = self._runner.model(batch.to(self._device), return_dense=True, return_sparse=True)
        except torch.OutOfMemoryError as error:
            raise ConfigurationError(
                f"the GPU has too little memory for embedder.batch_size={self._settings.batch_size} texts; lower it, or"
                " embedder.max_tokens",
                param="embedder.batch_size",
            ) from error
        return given["dense_vecs"].float().cpu().numpy(), given["sparse_vecs"].float().cpu().numpy()

    @cached_property
    def _ignored(self) -> frozenset[int]:
        """Tokens that mean nothing as terms."""
        tokenizer = self._runner.tokenizer
        return frozenset({
            tokenizer.cls_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id
        })  # fmt: skip


def _acquire(lock: threading.Lock, deadline: float | None) -> bool:
    return lock.acquire(timeout=-1 if deadline is None else max(deadline - time.monotonic(), 0))


def _busy() -> DeadlineError:
    return DeadlineError(
        "the embedder was busy with other texts until the time was over; raise retrieval.leg_timeout_s or lower"
        " embedder.batch_size",
        param="retrieval.leg_timeout_s",
    )


def _heaviest(tokens: Sequence[int], weights: Floats, ignored: frozenset[int]) -> SparseVector:
    """Each term's largest weight, where positive."""
    vector: SparseVector = {}
    for token, weight in zip(tokens, weights.reshape(-1).tolist(), strict=False):
        if weight > vector.get(token, 0.0) and token not in ignored:
            vector[token] = weight
    return vector


def _fingerprint(folder: Path) -> str:
    """A hash of names, sizes and samples of a model's files: gigabytes need not be read to tell models apart."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".json", ".safetensors", ".bin", ".pt"):
            continue
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            for sample in range(_SAMPLES):
                file.seek(max(0, (size - _SAMPLE_BYTES) * sample // (_SAMPLES - 1)))
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:8]
