"""The best of small sets, in a heap.

Zhuang et al. 2024, "A Setwise Approach for Effective and Highly Efficient Zero-shot Ranking with
Large Language Models": heap sort in which a node and its children are compared by one generated
token, read from the probabilities of the labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llmflow.retrieval.reranking.base import Cost, Reranking
from llmflow.retrieval.reranking.calibration import margin
from llmflow.retrieval.reranking.cutting import cut
from llmflow.retrieval.reranking.prompts import LABELS, best_messages
from llmflow.retrieval.reranking.student import Choice, Student
from llmflow.settings import RerankerSettings


class SetwiseReranker:
    """Heap sort over sets of ``settings.set_size`` passages; the head, ``settings.head`` passages, is put in order.

    The others follow as they stood. It gives an order and no scores. ``confidence`` is the
    probability of the first passage less the second's in the set that made it the first.
    """

    name = "setwise"

    def __init__(self, student: Student, settings: RerankerSettings) -> None:
        self._student = student
        self._settings = settings

    @property
    def version(self) -> str:
        return self._student.model

    def check(self, deadline: float) -> None:
        self._student.find_labels(LABELS, deadline)

    def rerank(self, query: str, passages: Sequence[str], deadline: float) -> Reranking:
        if len(passages) < 2:
            return Reranking.of(range(len(passages)), Cost())
        texts = cut(query, passages, self._settings.passage_tokens)

        def choose(members: Sequence[int]) -> Choice:
            messages = best_messages(query, [texts[index] for index in members])
            return self._student.choose(messages, LABELS, len(members), deadline)

        heap = _Heap(len(texts), self._settings.set_size - 1, choose)
        head = heap.sort(min(self._settings.head, len(texts) - 1))
        rest = sorted(set(range(len(texts))) - set(head))
        return Reranking.of([*head, *rest], heap.cost, confidence=heap.confidence)


class _Heap:
    """Positions in a heap with ``children`` below each, the best at its root.

    Args:
        choose: compares the passages at some positions.
    """

    def __init__(self, count: int, children: int, choose: Callable[[Sequence[int]], Choice]) -> None:
        self._nodes = list(range(count))
        self._children = children
        self._choose = choose
        self.cost = Cost()
        self.confidence = 0.0

    def sort(self, head: int) -> list[int]:
        """Take out the best ``head``, fewer than there are, the best first."""
        for node in reversed(range((len(self._nodes) - 2) // self._children + 1)):
            self._sift(node)
        best = [self._nodes[0]]
        confidence = self.confidence
        while len(best) < head:
            self._nodes[0] = self._nodes.pop()
            self._sift(0)
            best.append(self._nodes[0])
        self.confidence = confidence
        return best

    def _sift(self, node: int) -> None:
        """Let what is at ``node`` sink to its place."""
        while True:
            first = self._children * node + 1
            family = [node, *range(first, min(first + self._children, len(self._nodes)))]
            if len(family) == 1:
                return
            choice = self._choose([self._nodes[member] for member in family])
            self.cost += choice.cost
            if node == 0:
                self.confidence = margin(choice.logprobs)
            best = family[choice.best]
            if best == node:
                return
            self._nodes[node], self._nodes[best] = self._nodes[best], self._nodes[node]
            node = best
