"""What kiwi makes of single Korean words, remembered between texts.

Names are judged word by word: a corpus of many megabytes repeats its words, so each goes
through kiwi once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from llmflow.korean import tagger

_CACHE_SIZE = 100_000


@dataclass(frozen=True, slots=True)
class Morpheme:
    """``word[start:end]`` with its tag; ``known`` says whether kiwi's dictionary has it."""

    start: int
    end: int
    tag: str
    known: bool


Morphemes = tuple[Morpheme, ...]

_cache: dict[str, Morphemes] = {}


def analyze_words(words: Iterable[str]) -> dict[str, Morphemes]:
    """Morphemes of each word; those not seen before go through kiwi in one batch."""
    wanted = dict.fromkeys(words)
    found = {word: _cache[word] for word in wanted if word in _cache}
    missing = [word for word in wanted if word not in found]
    if missing:
        kiwi = tagger()
        for word, tokens in zip(missing, kiwi.tokenize(missing), strict=True):
            # Guesses at unknown words have the identity of a nameless morpheme.
            found[word] = tuple(
                Morpheme(token.start, token.end, token.tag.partition("-")[0], bool(kiwi.morpheme(token.id).form))
                for token in tokens
            )
        if len(_cache) > _CACHE_SIZE:
            _cache.clear()
        _cache.update((word, found[word]) for word in missing)
    return found


def morphemes(word: str) -> Morphemes:
    """Morphemes of one word."""
    return analyze_words([word])[word]
