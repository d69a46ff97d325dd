"""The rows of ranking datasets as the cache names them: teacher's and student's responses, each distinct row once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from distillm2.errors import DistillationError
from distillm2.teacher.cache_format import IGNORED, KEY_BYTES, row_key

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray

_SIDES = ("chosen", "rejected")
_MEDIA = ("images", "videos", "audios")


class RankingRows:
    """All distinct rows with a response in tokenised ranking datasets; a row's tokens stay in its dataset.

    Attributes:
        keys: [n, 16] uint8, one a row.
        lengths: [n] tokens of the row.
        responses: [n] tokens of its response.
        largest_id: the largest token id of all rows, -1 without rows.
        repeated: rows left out because an equal one is there.
    """

    def __init__(self, datasets: Mapping[str, Dataset]) -> None:
        self._datasets = {
            name: _checked(name, dataset).select_columns([f"{s}_{c}" for s in _SIDES for c in ("input_ids", "labels")])
            for name, dataset in datasets.items()
        }
        places: dict[bytes, tuple[str, str, int, int, int]] = {}
        self.largest_id, self.repeated = -1, 0
        for name, dataset in self._datasets.items():
            start = 0
            for batch in dataset.with_format("numpy").iter(batch_size=256):
                for side in _SIDES:
                    rows = zip(batch[f"{side}_input_ids"], batch[f"{side}_labels"], strict=True)
                    for number, (ids, labels) in enumerate(rows, start):
                        self._add(places, (name, side, number), np.asarray(ids), np.asarray(labels) != IGNORED)
                start += len(batch["chosen_input_ids"])
        self._places = [(name, side, number) for name, side, number, _, _ in places.values()]
        self.keys: NDArray[np.uint8] = np.frombuffer(b"".join(places), np.uint8).reshape(-1, KEY_BYTES)
        self.lengths: NDArray[np.int64] = np.array([place[3] for place in places.values()], np.int64)
        self.responses: NDArray[np.int64] = np.array([place[4] for place in places.values()], np.int64)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Token ids [t] of a row, and whether each has a label [t]."""
        name, side, number = self._places[row]
        values = self._datasets[name][number]
        return np.asarray(values[f"{side}_input_ids"], np.int64), np.asarray(values[f"{side}_labels"]) != IGNORED

    def _add(
        self,
        places: dict[bytes, tuple[str, str, int, int, int]],
        place: tuple[str, str, int],
        ids: NDArray[np.integer[Any]],
        responses: NDArray[np.bool_],
    ) -> None:
        tokens = int(responses[1:].sum())
        if tokens == 0:
            return
        key = row_key(ids, responses)
        if key in places:
            self.repeated += 1
            return
        places[key] = (*place, len(ids), tokens)
        self.largest_id = max(self.largest_id, int(ids.max()))


def _checked(name: str, dataset: Dataset) -> Dataset:
    for column in _MEDIA:
        if column in dataset.column_names and dataset.data.column(column).null_count < dataset.data.num_rows:
            raise DistillationError(
                f"The {name} dataset has {column}; a teacher cache holds text only. Remove the rows with {column}, "
                "or train with the teacher itself (`teacher_model` without `teacher_cache`)."
            )
    return dataset
