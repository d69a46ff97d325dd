"""One generated token orders a whole window of passages.

Gangi Reddy et al. 2024, "FIRST: Faster Improved Listwise Reranking with Single Token Decoding":
asked for the label of the best passage, the model's probabilities of all labels order all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from llmflow.retrieval.reranking.base import Cost, Reranking
from llmflow.retrieval.reranking.calibration import Calibration, against_chance, log_softmax, margin
from llmflow.retrieval.reranking.cutting import cut
from llmflow.retrieval.reranking.prompts import LABELS, best_messages
from llmflow.retrieval.reranking.student import Student, ranked
from llmflow.retrieval.reranking.windows import windows
from llmflow.settings import RerankerSettings


class ListwiseReranker:
    """One request for up to ``settings.window`` passages; sliding windows from the back where there are more.

    Where the first two of a window are closer than ``settings.margin``, it is put a second time in
    reverse order and the log-probabilities are averaged: models favour positions and labels.

    Scores are calibrated from log p + log n (:func:`.calibration.against_chance`) in the last
    window a passage was in. ``confidence`` is the probability of the first passage less that of
    the second, among those of the last window. Two passages are needed for a score: a single one
    has no rival.
    """

    name = "listwise"

    def __init__(self, student: Student, settings: RerankerSettings) -> None:
        self._student = student
        self._settings = settings
        self._calibrate = Calibration(settings.slope, settings.intercept)

    @property
    def version(self) -> str:
        return self._student.model

    def check(self, deadline: float) -> None:
        self._student.find_labels(LABELS, deadline)

    def rerank(self, query: str, passages: Sequence[str], deadline: float) -> Reranking:
        order = list(range(len(passages)))
        cost = Cost()
        if len(order) < 2:
            return Reranking.of(order, cost)
        texts = cut(query, passages, self._settings.passage_tokens)
        raw = [0.0] * len(texts)
        confidence = 0.0
        for start, end in windows(len(texts), self._settings.window, self._settings.step):
            shown = order[start:end]
            logprobs, taken = self._compare(query, [texts[index] for index in shown], deadline)
            cost += taken
            order[start:end] = [shown[position] for position in ranked(logprobs)]
            for index, value in zip(shown, against_chance(logprobs), strict=True):
                raw[index] = value
            confidence = margin(logprobs)
        for better, worse in pairwise(order):
            # Windows are compared through chance alone; a passage left behind in one stays behind.
            raw[worse] = min(raw[worse], raw[better])
        return Reranking.of(order, cost, [self._calibrate(value) for value in raw], confidence)

    def _compare(self, query: str, texts: Sequence[str], deadline: float) -> tuple[list[float], Cost]:
        choice = self._student.choose(best_messages(query, texts), LABELS, len(texts), deadline)
        logprobs = list(choice.logprobs)
        if margin(logprobs) >= self._settings.margin:
            return logprobs, choice.cost
        again = self._student.choose(best_messages(query, texts[::-1]), LABELS, len(texts), deadline)
        both = zip(logprobs, reversed(again.logprobs), strict=True)
        return log_softmax([(one + other) / 2 for one, other in both]), choice.cost + again.cost
