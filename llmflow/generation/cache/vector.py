"""A question's vector, made from its reading alone: no model, the same in every process."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from llmflow.generation.cache.reading import read

Vector = NDArray[np.float32]

_DIMENSIONS = 256
_LIGHT_WEIGHT = 0.5


def question_vector(question: str) -> Vector:
    """The vector of length 1 over hashed features: character 2-grams of the marks, light words at half weight.

    Returns:
        (256,) float32; zeros where the question says nothing.
    """
    reading = read(question)
    vector = np.zeros(_DIMENSIONS, np.float32)
    marks = reading.marks.replace("|", "")
    for gram in (marks[i : i + 2] for i in range(max(len(marks) - 1, 1))):
        _add(vector, gram, 1.0)
    for word in reading.light:
        _add(vector, f" {word}", _LIGHT_WEIGHT)
    norm = float(np.linalg.norm(vector))
    return vector / norm if reading.marks and norm else np.zeros_like(vector)


def _add(vector: Vector, feature: str, weight: float) -> None:
    # The sign makes features that share a dimension cancel out on average (Weinberger et al. 2009).
    code = zlib.crc32(feature.encode())
    vector[code % _DIMENSIONS] += weight if code & 0x80000000 else -weight
