"""Which passages go before the LLM, and how much of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmflow import korean
from llmflow.generation.units import split_units
from llmflow.schema import Candidate


@dataclass(frozen=True, slots=True)
class Passage:
    """``candidate.chunk.text[start:end]``; ``number`` is the candidate's place in the result, from 1."""

    number: int
    candidate: Candidate
    start: int
    end: int

    @property
    def text(self) -> str:
        """What of the chunk is shown."""
        return self.candidate.chunk.text[self.start : self.end]


def choose_passages(candidates: Sequence[Candidate], budget_tokens: int) -> tuple[Passage, ...]:
    """Candidates in order while they fit whole; the first that does not is cut after a sentence or row.

    Args:
        candidates: best first.
        budget_tokens: of passage text, counted by :func:`llmflow.korean.count_tokens`.
    """
    passages: list[Passage] = []
    left = budget_tokens
    for number, candidate in enumerate(candidates, 1):
        text = candidate.chunk.text
        cost = korean.count_tokens(text)
        if cost > left:
            # The best passage is never left out, even when its first sentence is over the budget.
            end = _cut(text, left) or (_hard_cut(text, left) if not passages else 0)
            if end:
                passages.append(Passage(number, candidate, 0, end))
            break
        passages.append(Passage(number, candidate, 0, len(text)))
        left -= cost
    return tuple(passages)


def _cut(text: str, budget: int) -> int:
    """End of the last unit that still fits, 0 where none does."""
    end = 0
    for unit in split_units([text])[0]:
        if korean.count_tokens(text[: unit.end]) > budget:
            break
        end = unit.end
    return end


def _hard_cut(text: str, budget: int) -> int:
    """The longest start of ``text`` within the budget (tokens only grow with length)."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if korean.count_tokens(text[:middle]) <= budget:
            low = middle
        else:
            high = middle - 1
    return low
