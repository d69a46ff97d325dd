"""Runs a teacher once over all rows and writes what it says of every response token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from distillm2.errors import DistillationError
from distillm2.teacher.cache_format import (
    MANIFEST,
    Manifest,
    Shard,
    next_shard,
    read_manifest,
    shard_paths,
    write_manifest,
)
from distillm2.teacher.cache_reader import CacheReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from distillm2.loss.targets import HeadTarget
    from distillm2.teacher.cache_rows import RankingRows

Progress = Callable[[int, int], None]


class LogitSource(Protocol):
    """A teacher in memory: a ``TeacherSource`` that gives logits."""

    def targets(self, inputs: Mapping[str, Tensor], rows: Tensor, columns: Tensor) -> HeadTarget:
        """As in ``TeacherSource``."""


def write_cache(
    folder: Path,
    manifest: Manifest,
    rows: RankingRows,
    teacher: LogitSource,
    *,
    device: torch.device,
    batch_size: int,
    chunk_size: int,
    shard_bytes: int,
    progress: Progress,
) -> None:
    """Write the rows that the cache does not have yet; one that was stopped goes on after its last finished shard.

    Args:
        folder: of the cache; made if it is not there.
        manifest: what the cache is to be; its rows and tokens are set here.
        rows: all rows it is to have; rows that it has already stay, whatever dataset they came from.
        teacher: prepared, on ``device``.
        batch_size: rows the teacher reads at a time.
        chunk_size: response tokens whose logits are in memory at a time.
        shard_bytes: size of a shard, and of the buffer it is gathered in; a longer row has a shard to itself.
        progress: called with tokens done and tokens in all, at the start and after every batch.

    Raises:
        DistillationError: the folder holds another teacher's cache, or another process writes it.
    """
    _check(manifest, rows)
    with _alone(folder):
        if (there := _read(folder)) is not None:
            _check_same(folder, there, manifest)
        else:
            write_manifest(folder, manifest)
        have = CacheReader(folder)
        missing = np.flatnonzero(have.find(rows.keys) < 0)
        todo = int(rows.responses[missing].sum())
        manifest = replace(manifest, rows=have.rows + len(missing), tokens=have.tokens + todo)
        write_manifest(folder, manifest)
        done = have.tokens
        progress(done, manifest.tokens)
        # Longest first: if memory does not suffice, it shows at once; and batches have little padding.
        order = missing[np.lexsort((missing, -rows.lengths[missing]))]
        first = next_shard(folder)
        for number, members in enumerate(_by_size(order, rows, shard_bytes // manifest.token_bytes), first):
            offsets = np.concatenate([[0], np.cumsum(rows.responses[members])]).astype(np.int64)
            shard = Shard.empty(rows.keys[members], offsets, manifest)
            for start in range(0, len(members), batch_size):
                batch = [rows[row] for row in members[start : start + batch_size]]
                end = min(start + batch_size, len(members))
                _fill(shard, int(offsets[start]), batch, teacher, device, chunk_size, manifest)
                done += int(offsets[end] - offsets[start])
                progress(done, manifest.tokens)
            shard.save(folder, number, manifest)


def check_folder(folder: Path) -> None:
    """Make the folder of a cache and refuse, before a teacher is loaded, one that no cache can be written into."""
    with _alone(folder):
        if _read(folder) is not None:
            CacheReader(folder)


@torch.inference_mode()
def _fill(
    shard: Shard,
    first: int,
    batch: list[tuple[NDArray[np.int64], NDArray[np.bool_]]],
    teacher: LogitSource,
    device: torch.device,
    chunk_size: int,
    manifest: Manifest,
) -> None:
    """Compute a batch of rows and put its tokens into the shard from ``first`` on."""
    ids = torch.zeros(len(batch), max(len(row) for row, _ in batch), dtype=torch.long)
    attention = torch.zeros_like(ids)
    responses = torch.zeros_like(ids, dtype=torch.bool)
    for number, (row, response) in enumerate(batch):
        ids[number, : len(row)] = torch.from_numpy(row)
        attention[number, : len(row)] = 1
        responses[number, : len(row)] = torch.from_numpy(response)
    rows, columns = responses[:, 1:].nonzero(as_tuple=True)
    labels = ids[:, 1:][rows, columns].to(device)
    inputs = {"input_ids": ids.to(device), "attention_mask": attention.to(device)}
    target = teacher.targets(inputs, rows.to(device), columns.to(device))
    for start in range(0, len(labels), chunk_size):
        part = torch.arange(start, min(start + chunk_size, len(labels)), device=device)
        logits = target.chunk(part)[:, : manifest.vocabulary].float()
        normaliser = logits.logsumexp(-1, keepdim=True)
        top = logits.topk(manifest.top_k)
        if not (torch.isfinite(normaliser).all() and torch.isfinite(top.values).all()):
            raise DistillationError(
                f"The teacher {manifest.teacher} gives logits that are not finite in {manifest.compute_dtype}. "
                "Load it in bf16 or fp32, or with another quantisation."
            )
        label_logp = logits.gather(1, labels[part, None]) - normaliser
        rest = logits.scatter(1, top.indices, -torch.inf).logsumexp(-1, keepdim=True)
        tokens = slice(first + start, first + start + len(part))
        shard.ids[tokens] = top.indices.to(torch.int32).cpu().numpy()
        shard.logprobs[tokens] = (top.values - normaliser).cpu().numpy()
        shard.tail[tokens] = (rest - normaliser)[:, 0].cpu().numpy()
        shard.label_logp[tokens] = label_logp[:, 0].cpu().numpy()


def _by_size(order: NDArray[np.int64], rows: RankingRows, tokens: int) -> Iterator[NDArray[np.int64]]:
    """Cut the rows into shards of at most ``tokens`` response tokens, at least one row in each."""
    start, count = 0, 0
    for end, row in enumerate(order):
        if end > start and count + rows.responses[row] > tokens:
            yield order[start:end]
            start, count = end, 0
        count += int(rows.responses[row])
    if start < len(order):
        yield order[start:]


def _check(manifest: Manifest, rows: RankingRows) -> None:
    if not 1 <= manifest.top_k <= manifest.vocabulary:
        raise DistillationError(
            f"top-k {manifest.top_k} is outside 1 to {manifest.vocabulary}, the vocabulary that teacher and student "
            "share. 64 is a good start."
        )
    if rows.largest_id >= manifest.vocabulary:
        raise DistillationError(
            f"The data has token {rows.largest_id}, but teacher and student share {manifest.vocabulary} tokens only. "
            "Use a teacher and a student of one model family."
        )


def _check_same(folder: Path, there: Manifest, wanted: Manifest) -> None:
    ours: dict[str, Any] = wanted.identity()
    theirs = there.identity()
    different = [
        f"{name} {theirs[name]!r} there, {value!r} now" for name, value in ours.items() if value != theirs[name]
    ]
    if different:
        raise DistillationError(
            f"{folder} holds another cache: {'; '.join(different)}. Give another --output, or run with "
            "the same settings."
        )


def _read(folder: Path) -> Manifest | None:
    """The manifest of the cache in the folder, None where there is no cache yet."""
    if (folder / MANIFEST).exists():
        return read_manifest(folder)
    if shard_paths(folder):
        raise DistillationError(f"{folder} has shards but no {MANIFEST}. Choose an empty folder.")
    return None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise DistillationError(
            f"Another process is writing {folder}. Wait for it, or give another --output."
        ) from error
    except FileExistsError as error:
        raise DistillationError(f"{folder} is a file: give a folder as --output.") from error
