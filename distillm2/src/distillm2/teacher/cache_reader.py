"""Reads a cache by row, memory-mapped: only what a batch needs comes from the disk."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from distillm2.errors import DistillationError
from distillm2.teacher.cache_format import KEY_BYTES, read_manifest, shard_paths

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VALUES = ("ids", "logprobs", "tail", "label_logp")


@dataclass(frozen=True)
class CachedTokens:
    """Response tokens of some rows: ids [n, k] int32, logprobs [n, k], tail [n], label_logp [n]; on the CPU."""

    ids: torch.Tensor
    logprobs: torch.Tensor
    tail: torch.Tensor
    label_logp: torch.Tensor


class CacheReader:
    """The finished shards of a cache.

    Attributes:
        manifest: as written.
        rows, tokens: of the finished shards; fewer than the manifest's while the cache is incomplete.
        mean_tail_mass: mean over the tokens of the probability outside the k, nan without tokens.
        size: bytes of the shards on disk.
    """

    def __init__(self, folder: Path) -> None:
        self.manifest = read_manifest(folder)
        paths = shard_paths(folder)
        shards = [_open(path) for path in paths]
        self._values = [{name: shard.get_slice(name) for name in _VALUES} for shard in shards]
        counts = [json.loads(shard.metadata()["counts"]) for shard in shards]
        self.rows = sum(count["rows"] for count in counts)
        self.tokens = sum(count["tokens"] for count in counts)
        tail_mass = sum(count["tail_mass"] for count in counts)
        self.mean_tail_mass = tail_mass / self.tokens if self.tokens else float("nan")
        self.size = sum(path.stat().st_size for path in paths)
        keys, places = [np.empty(0, f"S{KEY_BYTES}")], [np.empty((0, 3), np.int64)]
        for number, shard in enumerate(shards):
            offsets = shard.get_tensor("offsets").numpy()
            keys.append(_as_bytes(shard.get_tensor("keys").numpy()))
            places.append(np.stack([np.full(len(offsets) - 1, number), offsets[:-1], offsets[1:]], axis=1))
        order = np.argsort(unsorted := np.concatenate(keys))
        self._keys = unsorted[order]
        self._places: NDArray[np.int64] = np.concatenate(places)[order]

    def find(self, keys: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Where rows are, for ``read``: keys [m, 16] to numbers [m], -1 for a row that is not in the cache."""
        wanted = _as_bytes(keys)
        if len(self._keys) == 0:
            return np.full(len(wanted), -1, np.int64)
        found = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        return np.where(self._keys[found] == wanted, found, -1)

    def read(self, found: Iterable[int]) -> CachedTokens:
        """All response tokens of these rows, row after row."""
        parts: dict[str, list[torch.Tensor]] = {name: [] for name in _VALUES}
        for row in found:
            shard, start, end = self._places[row].tolist()
            for name, values in self._values[shard].items():
                parts[name].append(values[start:end])
        return CachedTokens(**{name: torch.cat(tensors) for name, tensors in parts.items()})


def _open(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise DistillationError(
            f"{path} cannot be read ({error}). Delete this file and run `distillm2 cache` again: "
            "it writes only what is missing."
        ) from error


def _as_bytes(keys: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Keys [m, 16] as [m] values that can be compared."""
    return np.ascontiguousarray(keys).view(f"S{KEY_BYTES}").reshape(-1)
