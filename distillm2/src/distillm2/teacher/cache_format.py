"""The files of an offline teacher: one manifest and safetensors shards, each of them written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from safetensors.numpy import save_file

from distillm2.errors import DistillationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
ABOUT = "distillm2"
KEY_BYTES = 16
IGNORED = -100

Precision = Literal["float16", "float32"]


def token_bytes(top_k: int, precision: Precision) -> int:
    """Bytes of a response token: ids and log-probabilities, the tail's and the token's own log-probability in fp32."""
    return top_k * (4 + np.dtype(precision).itemsize) + 4 + 4


@dataclass(frozen=True)
class Manifest:
    """What a cache holds and who wrote it; ``rows`` and ``tokens`` are those it has when it is complete."""

    format_version: int
    top_k: int
    vocabulary: int
    temperature: float
    precision: Precision
    tokenizer_hash: str
    teacher: str
    teacher_adapter: str | None
    teacher_quantization_bit: int | None
    teacher_hash: str
    compute_dtype: str
    template: str | None
    cutoff_len: int
    rows: int
    tokens: int
    created_by: str

    @property
    def token_bytes(self) -> int:
        """Bytes on disk of one response token."""
        return token_bytes(self.top_k, self.precision)

    def identity(self) -> dict[str, Any]:
        """The fields that must be equal for shards to lie in one folder; of the teacher's paths the names only."""
        kept = {key: value for key, value in asdict(self).items() if key not in ("rows", "tokens", "created_by")}
        paths = {key: Path(kept[key]).name for key in ("teacher", "teacher_adapter") if kept[key] is not None}
        return kept | paths

    def identity_hash(self) -> str:
        """Hash of ``identity``, which every shard carries."""
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Shard:
    """Rows one after another, tokens of a row one after another.

    keys [r, 16] uint8; offsets [r + 1] int64, of the first token of each row; ids [n, k] int32; logprobs [n, k] float16
    or float32; tail [n] float32, log of the mass outside the k; label_logp [n] float32. Natural logarithms.
    """

    keys: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    ids: NDArray[np.int32]
    logprobs: NDArray[np.floating[Any]]
    tail: NDArray[np.float32]
    label_logp: NDArray[np.float32]

    @staticmethod
    def empty(keys: NDArray[np.uint8], offsets: NDArray[np.int64], manifest: Manifest) -> Shard:
        """A shard of these rows, its tokens to be filled in."""
        tokens = int(offsets[-1])
        return Shard(
            keys=keys,
            offsets=offsets,
            ids=np.empty((tokens, manifest.top_k), np.int32),
            logprobs=np.empty((tokens, manifest.top_k), manifest.precision),
            tail=np.empty(tokens, np.float32),
            label_logp=np.empty(tokens, np.float32),
        )

    def save(self, folder: Path, number: int, manifest: Manifest) -> None:
        """Write the shard under its number; it appears under its name only when it is whole."""
        path = folder / f"shard-{number:05d}.safetensors"
        unfinished = path.with_suffix(".unfinished")
        mass = float(np.exp(self.tail, dtype=np.float64).sum())
        about = {"identity": manifest.identity_hash(), "tail_mass": mass}
        # One entry: safetensors writes several in any order, and equal shards are to be equal files.
        save_file(vars(self), unfinished, metadata={ABOUT: json.dumps(about)})
        _publish(unfinished, path)


def shard_paths(folder: Path) -> list[Path]:
    """The finished shards of a cache, in order."""
    return sorted((path for path in folder.glob("shard-*") if _number(path) >= 0), key=_number)


def next_shard(folder: Path) -> int:
    """The number that the next shard of a cache gets."""
    paths = shard_paths(folder)
    return _number(paths[-1]) + 1 if paths else 0


def _number(path: Path) -> int:
    """The shard's number, -1 for another file."""
    found = re.fullmatch(r"shard-([0-9]+)\.safetensors", path.name)
    return int(found[1]) if found else -1


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write or replace the manifest of a cache."""
    unfinished = folder / "manifest.unfinished"
    unfinished.write_text(json.dumps(asdict(manifest), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    _publish(unfinished, folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a cache.

    Raises:
        DistillationError: there is no cache in the folder, or one of another format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DistillationError(
            f"{folder} is no teacher cache (it has no {MANIFEST}). Write one with `distillm2 cache`."
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise DistillationError(f"{path} is damaged ({error!r}). Write the cache anew in another folder.") from error
    if version != FORMAT_VERSION:
        raise DistillationError(
            f"{folder} has cache format {version}; this release of distillm2 reads format {FORMAT_VERSION}. "
            "Write the cache anew, or use the release that wrote it "
            f"({values.get('created_by', 'unknown')})."
        )
    try:
        manifest = Manifest(**values)
    except TypeError as error:
        raise DistillationError(f"{path} is damaged ({error}). Write the cache anew in another folder.") from error
    for name, kind in get_type_hints(Manifest).items():
        value = values[name]
        if not (value in get_args(kind) if get_origin(kind) is Literal else isinstance(value, kind)):
            raise DistillationError(f"{path} is damaged ({name} is {value!r}). Write the cache anew in another folder.")
    return manifest


def row_key(input_ids: NDArray[np.integer[Any]], responses: NDArray[np.bool_]) -> bytes:
    """Name of a row: a hash of its unpadded tokens and of which of them are the response.

    The first token is never predicted, so whether it is labelled makes no difference.

    Args:
        input_ids: [t] token ids without padding.
        responses: [t] whether the token has a label.
    """
    digest = hashlib.blake2b(len(input_ids).to_bytes(8, "little"), digest_size=KEY_BYTES)
    digest.update(input_ids.astype("<i4").tobytes())
    digest.update(np.packbits(responses[1:]).tobytes())
    return digest.digest()


def tokenizer_hash(vocabulary: Mapping[str, int]) -> str:
    """Hash of the map from tokens to ids (``tokenizer.get_vocab()``)."""
    ordered = sorted(vocabulary.items(), key=lambda item: (item[1], item[0]))
    return hashlib.sha256(json.dumps(ordered, ensure_ascii=True).encode()).hexdigest()


def _publish(unfinished: Path, path: Path) -> None:
    """Give a written file its name, after its content has reached the disk."""
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)
