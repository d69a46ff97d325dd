"""The offline teacher: what a teacher said of every response token, read from a cache; no teacher is in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from distillm2.errors import DistillationError
from distillm2.loss.targets import TopKTarget
from distillm2.teacher.cache_format import row_key, tokenizer_hash
from distillm2.teacher.cache_reader import CacheReader
from distillm2.teacher.cache_rows import RankingRows

if TYPE_CHECKING:
    from datasets import Dataset


class CachedTeacher:
    """A ``TeacherSource`` over a folder written by ``distillm2 cache``.

    Args:
        folder: of the cache.
        tokenizer: the student's.
        vocabulary: rows of the student's head.
        temperature: of the divergence; a cache has 1 only, since other ones need the whole distribution.
        template, cutoff_len: of this run, named when rows are missing.
        datasets: all tokenised ranking datasets that will be read; every row is looked up before anything is trained.

    Raises:
        DistillationError: the cache does not belong to this run, or lacks some of its rows.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        tokenizer: Any,
        vocabulary: int,
        temperature: float,
        template: str | None,
        cutoff_len: int,
        datasets: Mapping[str, Dataset],
    ) -> None:
        self._folder = Path(folder)
        self._cache = CacheReader(self._folder)
        self._check_settings(tokenizer, vocabulary, temperature, template)
        self._check_rows(datasets, template, cutoff_len)

    @property
    def vocabulary(self) -> int:
        """The tokens that the cached distributions are normalised over."""
        return self._cache.manifest.vocabulary

    def describe(self) -> str:
        """The teacher in words, for logs."""
        manifest = self._cache.manifest
        adapter = f" with adapter {manifest.teacher_adapter}" if manifest.teacher_adapter else ""
        return (
            f"offline teacher {manifest.teacher}{adapter} from {self._folder}: top {manifest.top_k} of "
            f"{manifest.vocabulary:,} tokens, {self._cache.rows:,} rows, "
            f"mean tail mass {self._cache.mean_tail_mass:.2e}"
        )

    def prepare(self, accelerator: Any) -> None:
        """Nothing to do: what is read goes to the device of the batch."""

    def targets(self, inputs: Mapping[str, torch.Tensor], rows: torch.Tensor, columns: torch.Tensor) -> TopKTarget:
        """The cached distributions at the response positions of a batch.

        Args:
            inputs: input_ids and attention_mask [b, t], padded on either side.
            rows, columns: [n] of all response positions, row after row; column c predicts token c + 1.

        Raises:
            DistillationError: a row of the batch is not in the cache.
        """
        device = inputs["input_ids"].device
        ids = inputs["input_ids"].cpu().numpy()
        real = inputs["attention_mask"].cpu().numpy() != 0
        responses = np.zeros_like(real)
        responses[rows.cpu().numpy(), columns.cpu().numpy() + 1] = True
        used = np.flatnonzero(responses.any(axis=1))
        keys = b"".join(row_key(ids[row, real[row]], responses[row, real[row]]) for row in used)
        found = self._cache.find(np.frombuffer(keys, np.uint8).reshape(len(used), -1))
        if (found < 0).any():
            raise DistillationError(
                f"{int((found < 0).sum())} rows of this batch are not in the teacher cache {self._folder}: the trainer "
                "reads rows that were not in its datasets when it started."
            )
        tokens = self._cache.read(found.tolist())
        return TopKTarget(
            ids=tokens.ids.to(device).long(),
            logprobs=tokens.logprobs.to(device).float(),
            tail=tokens.tail.to(device),
            label_logp=tokens.label_logp.to(device),
        )

    def _check_settings(self, tokenizer: Any, vocabulary: int, temperature: float, template: str | None) -> None:
        manifest = self._cache.manifest
        ours = tokenizer_hash(tokenizer.get_vocab())
        if ours != manifest.tokenizer_hash:
            raise DistillationError(
                f"The student's tokenizer has hash {ours[:12]}, the teacher cache {self._folder} was written with "
                f"{manifest.tokenizer_hash[:12]}: their tokens have different ids. Use template "
                f"{manifest.template} (this run has {template}; a template may add tokens) and a student of the family "
                f"of {manifest.teacher}, or write a cache for this run."
            )
        if not 1 <= manifest.top_k <= manifest.vocabulary:
            raise DistillationError(
                f"The teacher cache {self._folder} has top-k {manifest.top_k}, allowed is 1 to {manifest.vocabulary}. "
                "Write the cache anew."
            )
        if vocabulary < manifest.vocabulary:
            raise DistillationError(
                f"The student's head has {vocabulary} rows, the teacher cache {self._folder} was written for "
                f"{manifest.vocabulary}. Write a cache with this student as model_name_or_path."
            )
        if temperature != manifest.temperature:
            raise DistillationError(
                f"distill_temperature is {temperature:g}, the teacher cache {self._folder} has temperature "
                f"{manifest.temperature:g}, the only one that can be cached. Set `distill_temperature: 1.0`, or "
                "train with the teacher itself (`teacher_model` without `teacher_cache`)."
            )

    def _check_rows(self, datasets: Mapping[str, Dataset], template: str | None, cutoff_len: int) -> None:
        manifest = self._cache.manifest
        rows = RankingRows(datasets)
        missing = int((self._cache.find(rows.keys) < 0).sum())
        if not missing:
            return
        unfinished = (
            f" The cache is incomplete ({self._cache.rows:,} of {manifest.rows:,} rows)."
            if self._cache.rows < manifest.rows
            else ""
        )
        raise DistillationError(
            f"{missing:,} of the {len(rows):,} rows of this run are not in the teacher cache {self._folder}."
            f"{unfinished} The cache has template {manifest.template}, cutoff_len {manifest.cutoff_len}; this run has "
            f"template {template}, cutoff_len {cutoff_len}. Where these agree, run `distillm2 cache` with this run's "
            f"YAML and `--output {self._folder}`: it adds the rows that are missing."
        )
