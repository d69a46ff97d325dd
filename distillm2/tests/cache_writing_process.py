"""Writes a cache and, when told so, stops in the middle of a batch and waits to be killed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from cache_rows_and_teacher import TinyTeacher, manifest_for, ranking_dataset
from transformers import PreTrainedTokenizerFast

from distillm2.loss.targets import HeadTarget
from distillm2.teacher.cache_rows import RankingRows
from distillm2.teacher.cache_writer import write_cache

SHARD_BYTES = 4_000


class StoppingTeacher(TinyTeacher):
    """Says that it is here after a number of batches, and does not go on."""

    def __init__(self, folder: Path, batches: int) -> None:
        super().__init__(folder)
        self.left = batches

    def targets(self, inputs: dict[str, torch.Tensor], rows: torch.Tensor, columns: torch.Tensor) -> HeadTarget:
        if self.left == 0:
            print("here", flush=True)
            time.sleep(600)
        self.left -= 1
        return super().targets(inputs, rows, columns)


def write(cache: Path, teacher: TinyTeacher, model: Path, rows: int, /, **changes: object) -> list[tuple[int, int]]:
    """Write the cache of the first ``rows`` pairs, its manifest changed; returns the progress that was told."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
    told: list[tuple[int, int]] = []
    write_cache(
        cache,
        manifest_for(tokenizer, **changes),
        RankingRows({"train": ranking_dataset(tokenizer, rows)}),
        teacher,
        device=torch.device("cpu"),
        batch_size=4,
        chunk_size=16,
        shard_bytes=SHARD_BYTES,
        progress=lambda done, total: told.append((done, total)),
    )
    return told


if __name__ == "__main__":
    folder, model_folder, pair_count, stop_after = sys.argv[1:]
    write(Path(folder), StoppingTeacher(Path(model_folder), int(stop_after)), Path(model_folder), int(pair_count))
