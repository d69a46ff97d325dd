"""What kiwi makes of Korean words and lines.

Words are judged alone first and remembered: a corpus of many megabytes repeats its words,
so each goes through kiwi once. Only the lines of doubtful words are read whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import kiwipiepy

from llmflow.korean import tagger

_CACHE_SIZE = 100_000


@dataclass(frozen=True, slots=True)
class Morpheme:
    """``text[start:end]`` with its tag; ``known`` says whether kiwi's dictionary has it."""

    start: int
    end: int
    tag: str
    known: bool


Morphemes = tuple[Morpheme, ...]

_cache: dict[str, Morphemes] = {}


def read_words(words: Iterable[str]) -> dict[str, Morphemes]:
    """Morphemes of each word standing alone; those not seen before go through kiwi in one batch."""
    wanted = dict.fromkeys(words)
    found = {word: seen for word in wanted if (seen := _cache.get(word)) is not None}
    missing = [word for word in wanted if word not in found]
    if missing:
        new = dict(zip(missing, read_lines(missing), strict=True))
        found |= new
        if len(_cache) > _CACHE_SIZE:
            _cache.clear()
        _cache.update(new)
    return found


def read_lines(lines: list[str]) -> list[Morphemes]:
    """Morphemes of each line, kiwi running on several threads."""
    if not lines:
        return []
    kiwi = tagger()
    return [tuple(_morpheme(kiwi, token) for token in tokens) for tokens in kiwi.tokenize(lines)]


def _morpheme(kiwi: kiwipiepy.Kiwi, token: kiwipiepy.Token) -> Morpheme:
    # Guesses at unknown words have the identity of a nameless morpheme.
    known = bool(kiwi.morpheme(token.id).form)
    return Morpheme(token.start, token.end, token.tag.partition("-")[0], known)
