"""A written order of the passages, window by window.

Sun et al. 2023, "Is ChatGPT Good at Search? Investigating Large Language Models as Re-Ranking
Agents" (RankGPT): the model writes "[3] > [1] > ..." for a window that slides from the back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llmflow.errors import UpstreamError
from llmflow.retrieval.reranking.base import Cost, Reranking
from llmflow.retrieval.reranking.cutting import cut
from llmflow.retrieval.reranking.prompts import order_messages
from llmflow.retrieval.reranking.student import Student
from llmflow.retrieval.reranking.windows import windows
from llmflow.settings import RerankerSettings

_NUMBER = re.compile(r"\d+")
_TOKENS_EACH = 8
"""At most, of "[20] > ": brackets, digits, spaces and the sign by themselves."""


class PermutationReranker:
    """``settings.window`` passages a request, ``settings.step`` between windows. It gives an order and no scores.

    vLLM is held to as many numbers as there are passages; that none comes twice is up to the model.
    """

    name = "permutation"

    def __init__(self, student: Student, settings: RerankerSettings) -> None:
        self._student = student
        self._settings = settings

    @property
    def version(self) -> str:
        return self._student.model

    def check(self, deadline: float) -> None:
        """Nothing: it needs no labels."""

    def rerank(self, query: str, passages: Sequence[str], deadline: float) -> Reranking:
        order = list(range(len(passages)))
        cost = Cost()
        if len(order) < 2:
            return Reranking.of(order, cost)
        texts = cut(query, passages, self._settings.passage_tokens)
        for start, end in windows(len(texts), self._settings.window, self._settings.step):
            shown = order[start:end]
            messages = order_messages(query, [texts[index] for index in shown])
            written = self._student.write(messages, _TOKENS_EACH * len(shown), _pattern(len(shown)), deadline)
            positions, missing = read_order(written.text, len(shown))
            if missing == len(shown):
                raise UpstreamError(
                    f"{self._student.model} wrote no order of {len(shown)} passages: {written.text[:100]!r}; it does"
                    " not follow the prompt",
                    param="reranker.model",
                )
            order[start:end] = [shown[position] for position in positions]
            cost += Cost(1, written.usage.prompt_tokens, written.usage.completion_tokens, missing)
        return Reranking.of(order, cost)


def read_order(text: str, count: int) -> tuple[list[int], int]:
    """Positions from 0 in the order of the numbers in ``text``, and how many of them were not there.

    Numbers that come again or are no passage's are left out; passages not named follow in their order.
    """
    named = dict.fromkeys(
        int(number) - 1 for number in _NUMBER.findall(text) if len(number) < 4 and 1 <= int(number) <= count
    )
    rest = [position for position in range(count) if position not in named]
    return [*named, *rest], len(rest)


def _pattern(count: int) -> str:
    number = rf"\[({'|'.join(str(number) for number in range(1, count + 1))})\]"
    return rf"{number}( > {number}){{{count - 1}}}"
