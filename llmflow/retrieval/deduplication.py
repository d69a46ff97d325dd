"""Deduplication: of passages that say the same, only the best-ranked stays.

Texts that differ in a number or in a negation are both kept, however alike they are otherwise:
in policies and statutes that is what matters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from llmflow.retrieval.similarity import Shingles, letters_of
from llmflow.schema import Candidate

_DECISIVE = re.compile(
    r"\d+(?:[.,]\d+)*|없|아니|않|못|금지|제외|불가|미만|이하|이상|초과|이내"
    r"|\b(?:not?|never|none|without|except|unless|cannot|un(?:less|til)|\w+n['’]t)\b",
    re.IGNORECASE,
)


def deduplicate(candidates: Iterable[Candidate], similarity: float) -> Iterator[Candidate]:
    """Candidates in order, without those that repeat an earlier one.

    White space, punctuation and case make no difference.

    Args:
        similarity: Jaccard similarity of shingles from which a text with the same numbers and
            negations is a repetition; at 1 only one with the same letters.
    """
    exact: set[str] = set()
    kept: dict[tuple[int, int], list[tuple[Shingles, str]]] = {}
    for candidate in candidates:
        text = candidate.chunk.text
        letters = letters_of(text)
        if letters in exact:
            continue
        exact.add(letters)
        if similarity < 1:
            shingles = Shingles.of(letters)
            marks = list(enumerate(shingles.marks))
            near = {id(pair): pair for mark in marks for pair in kept.get(mark, ())}
            if any(
                other.jaccard(shingles) >= similarity and _decisive(text) == _decisive(said)
                for other, said in near.values()
            ):
                continue
            pair = (shingles, text)
            for mark in marks:
                kept.setdefault(mark, []).append(pair)
        yield candidate


def _decisive(text: str) -> Counter[str]:
    return Counter(_DECISIVE.findall(text.casefold()))
