"""Yes or no for each passage by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from llmflow.retrieval.reranking.base import Cost, Reranking
from llmflow.retrieval.reranking.calibration import Calibration
from llmflow.retrieval.reranking.cutting import cut
from llmflow.retrieval.reranking.prompts import VERDICTS, language_of, verdict_messages
from llmflow.retrieval.reranking.student import Choice, Student, ranked
from llmflow.settings import RerankerSettings


class PointwiseReranker:
    """One request a passage, ``settings.concurrency`` side by side.

    The question stands before the passage, so that all requests begin alike and the server computes
    that part once. The raw score is logit(yes) - logit(no): at slope 1 and intercept 0 the score is
    P(yes) / (P(yes) + P(no)). ``confidence`` is that share of the first passage less the second's.
    """

    name = "pointwise"

    def __init__(self, student: Student, settings: RerankerSettings) -> None:
        self._student = student
        self._settings = settings
        self._calibrate = Calibration(settings.slope, settings.intercept)

    @property
    def version(self) -> str:
        return self._student.model

    def check(self, deadline: float) -> None:
        for labels in VERDICTS.values():
            self._student.find_labels(labels, deadline)

    def rerank(self, query: str, passages: Sequence[str], deadline: float) -> Reranking:
        if not passages:
            return Reranking.of((), Cost())
        texts = cut(query, passages, self._settings.passage_tokens)
        labels = VERDICTS[language_of(query)]
        self._student.find_labels(labels, deadline)

        def judge(text: str) -> Choice:
            return self._student.choose(verdict_messages(query, text), labels, len(labels), deadline)

        workers = ThreadPoolExecutor(min(self._settings.concurrency, len(texts)), thread_name_prefix="rerank")
        try:
            choices = list(workers.map(judge, texts))
        finally:
            workers.shutdown(wait=False, cancel_futures=True)
        raw = [yes - no for yes, no in (choice.logprobs for choice in choices)]
        order = ranked(raw)
        shares = [math.exp(choices[index].logprobs[0]) for index in order[:2]]
        return Reranking.of(
            order,
            sum((choice.cost for choice in choices), Cost()),
            [self._calibrate(value) for value in raw],
            shares[0] - shares[1] if len(shares) == 2 else None,
        )
