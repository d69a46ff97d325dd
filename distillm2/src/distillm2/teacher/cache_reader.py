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
from distillm2.teacher.cache_format import ABOUT, KEY_BYTES, MANIFEST, Manifest, read_manifest, shard_paths

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VALUES = ("ids", "logprobs", "tail", "label_logp")
_MEND = "Move this file away and run `distillm2 cache` again: it writes only what is missing."


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
        shards = [_open(path, self.manifest) for path in paths]
        self._values = [shard.values for shard in shards]
        self.size = sum(path.stat().st_size for path in paths)
        keys, places = [np.empty(0, f"S{KEY_BYTES}")], [np.empty((0, 3), np.int64)]
        for number, shard in enumerate(shards):
            keys.append(_as_bytes(shard.keys))
            rows = len(shard.keys)
            places.append(np.stack([np.full(rows, number), shard.offsets[:-1], shard.offsets[1:]], axis=1))
        order = np.argsort(unsorted := np.concatenate(keys))
        self._keys = unsorted[order]
        self._places: NDArray[np.int64] = np.concatenate(places)[order]
        twice = np.flatnonzero(self._keys[1:] == self._keys[:-1])
        if len(twice):
            one, other = (paths[self._places[row, 0]] for row in (twice[0], twice[0] + 1))
            raise DistillationError(f"{len(twice)} rows are held twice, one of them by {one} and {other}. {_MEND}")
        self.rows = len(self._keys)
        self.tokens = sum(int(shard.offsets[-1]) for shard in shards)
        tail_mass = sum(shard.tail_mass for shard in shards)
        self.mean_tail_mass = tail_mass / self.tokens if self.tokens else float("nan")

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


@dataclass(frozen=True)
class _Shard:
    """A shard's index in memory, and its values on disk."""

    keys: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    values: dict[str, Any]
    tail_mass: float


def _open(path: Path, manifest: Manifest) -> _Shard:
    """The shard, when it is whole and of the manifest's teacher, form and k."""
    try:
        file: Any = safe_open(path, framework="pt")
        about = json.loads((file.metadata() or {}).get(ABOUT, "{}"))
        if about.get("identity") != manifest.identity_hash():
            raise DistillationError(f"{path} was not written with the {MANIFEST} beside it. {_MEND}")
        slices = {name: file.get_slice(name) for name in ("keys", "offsets", *_VALUES)}
        rows, tokens = (slices[name].get_shape()[0] for name in ("keys", "tail"))
        found = {name: (values.get_dtype(), tuple(values.get_shape())) for name, values in slices.items()}
        wanted = {
            "keys": ("U8", (rows, KEY_BYTES)),
            "offsets": ("I64", (rows + 1,)),
            "ids": ("I32", (tokens, manifest.top_k)),
            "logprobs": ({"float16": "F16", "float32": "F32"}[manifest.precision], (tokens, manifest.top_k)),
            "tail": ("F32", (tokens,)),
            "label_logp": ("F32", (tokens,)),
        }
        if wrong := [f"{name} is {found[name]}, not {wanted[name]}" for name in wanted if found[name] != wanted[name]]:
            raise DistillationError(f"{path} has another form than its {MANIFEST} says: {'; '.join(wrong)}. {_MEND}")
        keys, offsets = (file.get_tensor(name).numpy() for name in ("keys", "offsets"))
    except (SafetensorError, OSError) as error:
        raise DistillationError(f"{path} cannot be read ({error}). {_MEND}") from error
    return _Shard(keys, offsets, {name: slices[name] for name in _VALUES}, about["tail_mass"])


def _as_bytes(keys: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Keys [m, 16] as [m] values that can be compared."""
    return np.ascontiguousarray(keys).view(f"S{KEY_BYTES}").reshape(-1)
