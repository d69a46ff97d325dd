"""How alike two passages are, letter by letter: shingles and their min-hashes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_SHINGLE = 5
_PRIME = (1 << 61) - 1
_HASHES = 8
_POWERS = np.array([1_000_003**power % (1 << 38) for power in range(_SHINGLE)], dtype=np.uint64)
"""Of a polynomial hash; code points have 21 bits, so that nothing overflows."""
_rng = np.random.default_rng(20)
_FACTORS = _rng.integers(1, 1 << 29, (_HASHES, 1), dtype=np.uint64)
_OFFSETS = _rng.integers(0, _PRIME, (_HASHES, 1), dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Shingles:
    """A text's runs of five letters or digits, as sorted unique hashes.

    ``marks`` are the smallest hash under each of eight random functions: two texts agree in
    one with the probability of their Jaccard similarity (Broder 1997).
    """

    hashes: npt.NDArray[np.uint32]
    marks: tuple[int, ...]

    @classmethod
    def of(cls, letters: str) -> Shingles:
        """Shingles of a text whose white space and punctuation are gone."""
        codes = np.frombuffer(letters.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
        codes = np.pad(codes, (0, max(_SHINGLE - len(codes), 0)))
        runs = np.lib.stride_tricks.sliding_window_view(codes, _SHINGLE)
        hashes = np.unique(((runs @ _POWERS) % np.uint64(_PRIME)).astype(np.uint32))
        marks = (_FACTORS * hashes.astype(np.uint64) + _OFFSETS) % np.uint64(_PRIME)
        return cls(hashes, tuple(marks.min(axis=1).tolist()))

    def jaccard(self, other: Shingles) -> float:
        """Share of the two texts' shingles that both have, 0 to 1."""
        common = len(np.intersect1d(self.hashes, other.hashes, assume_unique=True))
        return common / (len(self.hashes) + len(other.hashes) - common)


def letters_of(text: str) -> str:
    """The letters and digits of a text, without case; all of it where it has none."""
    return "".join(filter(str.isalnum, text)).casefold() or text
