"""Learned fusion: LambdaMART over what the legs say of a candidate.

The head of the convex list is put in the order of a gradient boosted tree model trained on
judged questions (Burges 2010, "From RankNet to LambdaRank to LambdaMART"). Its margin is made
a probability of relevance by Platt scaling (Platt 1999), so that a score can be held against a
threshold. Trained and applied on the same heads: a model that saw only heads knows nothing of
rows further down.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from llmflow.errors import ConfigurationError, InvalidInputError
from llmflow.retrieval.analysis import AnalyzedQuery
from llmflow.retrieval.fusion import Fused
from llmflow.retrieval.legs import REFERENCE
from llmflow.settings import RetrievalSettings
from llmflow.stores.index import View

if TYPE_CHECKING:
    from lightgbm import Booster

HEAD = 100
"""Rows of the convex list that are put in a new order."""
MIN_QUESTIONS = 300
"""Judged questions needed to train."""

Floats = npt.NDArray[np.float32]

_OF_LEG = ("value", "share", "rank")
_OF_ROW = ("fused", "position", "length", "question_length")
_MODEL, _METADATA = "model.txt", "fusion.json"
_ROUNDS = 200
_PARAMETERS = {
    "objective": "lambdarank",
    "lambdarank_truncation_level": 15,
    "learning_rate": 0.08,
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "seed": 13,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A question's head: ``features`` (rows, features) and ``grades`` (rows,), 0 for what is not relevant."""

    features: Floats
    grades: npt.NDArray[np.int64]


@dataclass(frozen=True)
class LearnedFusion:
    """A trained model. Immutable, safe to use from many threads.

    Args:
        model: LightGBM's text form.
        legs: names of the legs it was trained with.
        slope, offset: of the Platt scaling.
        metrics: what it was measured with when it was trained.
    """

    model: str
    legs: tuple[str, ...]
    slope: float
    offset: float
    metrics: Mapping[str, float]
    created: datetime

    def apply(self, fused: Fused, view: View, analyzed: AnalyzedQuery) -> Fused:
        """The list with its head in the model's order; scores are probabilities of relevance.

        Rows after the head keep their order, below it. A row named by a statute reference still
        stands before all others. A leg the model knows and ``fused`` lacks counts as unknown; see
        :meth:`missing`.
        """
        head = fused.order[:HEAD]
        if not len(head):
            return fused
        probability = self.predict(features(fused, view, analyzed, self.legs))
        if REFERENCE in fused.legs:
            probability = probability + fused.legs[REFERENCE].scores[head]
        ranking = np.argsort(-probability, kind="stable")
        scores = np.minimum(fused.scores, probability.min())
        scores[head] = np.clip(probability, 0, 1)
        return replace(fused, order=np.concatenate([head[ranking], fused.order[HEAD:]]), scores=scores)

    def missing(self, fused: Fused) -> tuple[str, ...]:
        """Legs the model was trained with that gave no scores."""
        return tuple(name for name in self.legs if name not in fused.legs)

    def predict(self, values: Floats) -> Floats:
        """Probabilities of relevance (rows,) for features (rows, features)."""
        margin = np.asarray(self._booster.predict(values, num_threads=1))
        return _sigmoid(self.slope * margin + self.offset).astype(np.float32)

    @property
    def version(self) -> str:
        """A hash of everything the scores depend on."""
        text = json.dumps([self.model, self.legs, self.slope, self.offset])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def _booster(self) -> Booster:
        booster: Booster = _lightgbm().Booster(model_str=self.model)
        return booster

    def save(self, folder: Path) -> Path:
        """Write to ``folder / version`` in one step, and return that path."""
        target = folder / self.version
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
        try:
            new = scratch / "new"
            new.mkdir()
            (new / _MODEL).write_text(self.model, encoding="utf-8")
            (new / _METADATA).write_text(json.dumps(self._metadata(), indent=2) + "\n", encoding="utf-8")
            if not target.exists():
                os.rename(new, target)
        finally:
            shutil.rmtree(scratch)
        return target

    @classmethod
    def load(cls, folder: Path) -> LearnedFusion:
        """Read what :meth:`save` wrote; ``folder`` is the path it returned.

        Raises:
            ConfigurationError: a file is missing or is not what was saved, or LightGBM is not installed.
        """
        try:
            metadata = json.loads((folder / _METADATA).read_text(encoding="utf-8"))
            fusion = cls(
                (folder / _MODEL).read_text(encoding="utf-8"),
                tuple(metadata["legs"]),
                float(metadata["slope"]),
                float(metadata["offset"]),
                metadata["metrics"],
                datetime.fromisoformat(metadata["created"]),
            )
            intact = fusion.version == metadata["version"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _unusable(folder, str(error)) from error
        if not intact:
            raise _unusable(folder, "its files do not match their checksum")
        assert fusion._booster is not None  # loaded now, so that no question waits for it
        return fusion

    def _metadata(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "legs": self.legs,
            "features": feature_names(self.legs),
            "slope": self.slope,
            "offset": self.offset,
            "metrics": dict(self.metrics),
            "created": self.created.isoformat(),
        }


def open_learned(settings: RetrievalSettings) -> LearnedFusion | None:
    """The learned fusion of the settings; None where another fusion is set.

    Raises:
        ConfigurationError: it is set and cannot be used.
    """
    if settings.fusion != "learned":
        return None
    if settings.fusion_model is None:
        raise ConfigurationError(
            "retrieval.fusion is learned, but retrieval.fusion_model names no model; run `llmflow tune retrieval FOLDER"
            " --learn`, or set retrieval.fusion to convex",
            param="retrieval.fusion_model",
        )
    return LearnedFusion.load(settings.fusion_model)


def learn(
    questions: Sequence[Judged], legs: Sequence[str], held_back: Sequence[Judged], metrics: Mapping[str, float]
) -> LearnedFusion:
    """Train on judged questions; the same questions and machine give the same model.

    Args:
        legs: whose features (:func:`features`) the questions have.
        held_back: questions the model does not learn from, for the calibration.
        metrics: kept with the model.

    Raises:
        InvalidInputError: there are fewer than 300 questions, or none has a relevant row in its head.
        ConfigurationError: LightGBM is not installed.
    """
    usable = [question for question in questions if question.grades.any()]
    if len(questions) < MIN_QUESTIONS or not usable:
        raise InvalidInputError(
            f"{len(questions)} judged questions, {len(usable)} of them with a relevant passage among the candidates, "
            f"are too few to train on; {MIN_QUESTIONS} are needed: keep the convex fusion until there are more",
            param="split",
        )
    lightgbm = _lightgbm()
    data = lightgbm.Dataset(
        np.concatenate([question.features for question in usable]),
        np.concatenate([question.grades for question in usable]),
        group=[len(question.grades) for question in usable],
        feature_name=list(feature_names(legs)),
    )
    booster = lightgbm.train(_PARAMETERS, data, _ROUNDS)
    values = np.concatenate([question.features for question in held_back])
    relevant = np.concatenate([question.grades for question in held_back]) > 0
    slope, offset = _platt(np.asarray(booster.predict(values)), relevant)
    return LearnedFusion(booster.model_to_string(), tuple(legs), slope, offset, dict(metrics), datetime.now(UTC))


def feature_names(legs: Sequence[str]) -> tuple[str, ...]:
    """The columns of :func:`features`."""
    return (*(f"{leg}.{kind}" for leg in legs for kind in _OF_LEG), *_OF_ROW)


def features(fused: Fused, view: View, analyzed: AnalyzedQuery, legs: Sequence[str]) -> Floats:
    """What the legs say of the rows of the head, of shape (rows, features).

    A leg gives its score over the highest one possible, over the best row's, and the logarithm
    of 1 + the number of rows of the head before this one; NaN where the leg is not there.
    """
    head = fused.order[:HEAD]
    columns: list[npt.NDArray[Any]] = []
    for name in legs:
        if name not in fused.legs:
            columns += [np.full(len(head), np.nan)] * len(_OF_LEG)
            continue
        leg = fused.legs[name]
        scores, best = leg.scores[head], float(leg.scores.max())
        columns.append(scores / leg.bound if leg.bound > 0 else np.zeros(len(head)))
        columns.append(scores / best if best > 0 else np.zeros(len(head)))
        columns.append(np.log1p(np.searchsorted(np.sort(-scores), -scores)))
    columns.append(fused.scores[head])
    columns.append(np.log1p(np.arange(len(head))))
    columns.append(np.log1p(np.concatenate([segment.chunks.lengths for segment in view.segments])[head]))
    columns.append(np.full(len(head), np.log1p(len(analyzed.query.text))))
    return np.stack(columns, axis=1).astype(np.float32)


def _platt(margin: npt.NDArray[np.float64], relevant: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset of the logistic curve that fits relevance best, by log loss."""

    def loss(curve: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        z = curve[0] * margin + curve[1]
        error = _sigmoid(z) - relevant
        value = np.logaddexp(0, z) - relevant * z
        return float(value.mean()), np.array([(error * margin).mean(), error.mean()])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=[(1e-6, None), (None, None)])
    return float(found.x[0]), float(found.x[1])


def _sigmoid(z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(z, -50, 50))))


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise ConfigurationError(
            "the learned fusion needs LightGBM: pip install 'llmflow[learn]', or set retrieval.fusion to convex",
            param="retrieval.fusion",
        ) from error
    except OSError as error:  # its OpenMP runtime is a library of the system
        raise ConfigurationError(
            f"LightGBM cannot be loaded ({error}); install the OpenMP runtime (apt install libgomp1, or brew install"
            " libomp), or set retrieval.fusion to convex",
            param="retrieval.fusion",
        ) from error
    return lightgbm


def _unusable(folder: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"no usable learned fusion in {folder}: {reason}; run `llmflow tune retrieval FOLDER --learn`, or set"
        " retrieval.fusion to convex",
        param="retrieval.fusion_model",
    )
