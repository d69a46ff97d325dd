"""The served model as the rerankers call it: labels found once, one deadline, costs counted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from llmflow.errors import DeadlineError, UpstreamError
from llmflow.models.llm import Completion, Label, LLMClient, Message
from llmflow.retrieval.reranking.base import Cost
from llmflow.retrieval.reranking.calibration import log_softmax


@dataclass(frozen=True, slots=True)
class Choice:
    """Log-probabilities of the labels among themselves, in the order asked, and what they took."""

    logprobs: tuple[float, ...]
    cost: Cost

    @property
    def best(self) -> int:
        """Position of the likeliest; the first of equals."""
        return max(range(len(self.logprobs)), key=lambda index: (self.logprobs[index], -index))


class Student:
    """One served model or adapter.

    Args:
        model: as the server knows it.
    """

    def __init__(self, llm: LLMClient, model: str) -> None:
        self.model = model
        self._llm = llm
        self._labels: dict[tuple[str, ...], tuple[Label, ...]] = {}

    def find_labels(self, texts: tuple[str, ...], deadline: float) -> tuple[Label, ...]:
        """The labels, asked of the server once.

        Raises:
            ConfigurationError: one is not exactly one token of the served tokenizer.
            DeadlineError, UpstreamError: the server did not answer in time, or failed.
        """
        if texts not in self._labels:
            with _in_time(deadline):
                self._labels[texts] = self._llm.find_labels(texts, self.model, deadline)
        return self._labels[texts]

    def choose(self, messages: Sequence[Message], texts: tuple[str, ...], count: int, deadline: float) -> Choice:
        """How likely the answer begins with each of the first ``count`` labels of ``texts``, among these.

        Labels that did not come back get the most they can have had.

        Raises:
            ConfigurationError, DeadlineError, UpstreamError: as :meth:`find_labels`; also where none came back.
        """
        labels = self.find_labels(texts, deadline)[:count]
        with _in_time(deadline):
            found = self._llm.label_logprobs(messages, labels, self.model, deadline)
        missing = sum(value is None for value in found.logprobs)
        if missing == count:
            raise UpstreamError(
                f"{self.model} gave none of the labels {', '.join(label.text for label in labels)} a probability to"
                " speak of; it does not follow the prompt, or thinks before it answers",
                param="reranker.model",
            )
        logprobs = [found.floor if value is None else value for value in found.logprobs]
        cost = Cost(1, found.prompt_tokens, found.completion_tokens, missing)
        return Choice(tuple(log_softmax(logprobs)), cost)

    def write(self, messages: Sequence[Message], max_tokens: int, pattern: str, deadline: float) -> Completion:
        """An answer that matches ``pattern`` where the server keeps to patterns.

        Raises:
            DeadlineError, UpstreamError: the server did not answer in time, or failed.
        """
        with _in_time(deadline):
            return self._llm.complete_text(messages, max_tokens, self.model, deadline, pattern)


@contextmanager
def _in_time(deadline: float) -> Iterator[None]:
    try:
        yield
    except UpstreamError as error:
        if time.monotonic() >= deadline:
            raise DeadlineError(
                f"the reranker was not done by its deadline ({error.message}); raise reranker.deadline_s or lower"
                " reranker.depth",
                param="reranker.deadline_s",
            ) from error
        raise


def ranked(values: Sequence[float]) -> list[int]:
    """Positions by falling value; equals stay in their order."""
    return sorted(range(len(values)), key=lambda index: -values[index])
