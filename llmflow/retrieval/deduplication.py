"""Deduplication: of passages that say the same, letter for letter, only the best-ranked stays.

Texts that differ in as little as one number are both kept: in policies and statutes that
number is what matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from llmflow.schema import Candidate


def deduplicate(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """Candidates in order, without those whose letters and digits repeat an earlier one's.

    White space, punctuation and case make no difference.
    """
    seen: set[str] = set()
    for candidate in candidates:
        text = candidate.chunk.text
        letters = "".join(filter(str.isalnum, text)).casefold() or text
        if letters not in seen:
            seen.add(letters)
            yield candidate
