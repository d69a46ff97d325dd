"""Text analysis: normalisation, morphemes, sentences and token streams.

Language is decided per run of text: Hangul goes through kiwi, Latin words and numbers
through a regular expression and the Snowball stemmer (kiwi cuts English words at sentence
ends), so Korean, English and mixed text need no setting.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

import kiwipiepy
import snowballstemmer

_HANGUL = re.compile(r"[가-힣]")
_OTHER_RUN = re.compile(
    r"(?P<latin>[A-Za-zÀ-ɏ]+(?:['’][A-Za-z]+)?)"
    r"|(?P<number>\d+(?:[.,]\d+)*)"
    r"|(?P<script>[^\W\d_가-힣ㄱ-ㅣA-Za-zÀ-ɏ]+)"
)
_SENTENCE_END = re.compile(r"(?<=[.!?。])([\"'”’)\]]*)\s+|\n{2,}")
_SPACES = re.compile(r"\s+")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")

# Lucene's English stop list.
_STOP = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of",
    "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with",
})  # fmt: skip
_WORD_TAGS = frozenset({"NNG", "NNP", "NR", "VV", "VA", "XR"})
_GRAM_TAGS = _WORD_TAGS | {"NNB", "NP", "XPN", "XSN", "MM", "MAG"}

_lock = threading.Lock()


@cache
def tagger() -> kiwipiepy.Kiwi:
    """The shared kiwi instance (three seconds and 500 MB to load, thread-safe to use)."""
    with _lock:
        return kiwipiepy.Kiwi(num_workers=2)


def has_hangul(text: str) -> bool:
    """Whether any Hangul syllable is in ``text``."""
    return _HANGUL.search(text) is not None


def normalize(text: str) -> str:
    """NFC, no invisible characters, runs of white space as one space."""
    return _SPACES.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFC", text))).strip()


def count_tokens(text: str) -> int:
    """About how many tokens a multilingual subword model makes of ``text``.

    An estimate without a model: two Hangul syllables, six Latin letters, three digits or
    one other visible character count as a token each.
    """
    hangul = latin = digits = other = 0
    for character in text:
        if "가" <= character <= "힣":
            hangul += 1
        elif character <= "ɏ" and character.isalpha():
            latin += 1
        elif character.isdigit():
            digits += 1
        elif not character.isspace():
            other += 1
    return -(-hangul // 2) + -(-latin // 6) + -(-digits // 3) + other


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, ``text[start:end]``, and its two token streams.

    ``grams``: character 2-grams of each word without particles and endings, Korean's
    robust stream. ``words``: nouns, verb, adjective and root morphemes. Latin words
    (stemmed) and numbers are in both.
    """

    start: int
    end: int
    grams: tuple[str, ...]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnalyzedText:
    """A text with the titles it stands under, as sentences. A question has only a body."""

    body: tuple[Sentence, ...]
    title: tuple[Sentence, ...] = ()
    path: tuple[Sentence, ...] = ()


def analyze(texts: Iterable[str]) -> Iterator[list[Sentence]]:
    """Sentences with token streams of each text, in order, kiwi running two threads wide."""
    texts = list(texts)
    hangul = [text for text in texts if has_hangul(text)]
    korean = iter(tagger().tokenize(hangul, normalize_coda=True)) if hangul else iter(())
    for text in texts:
        yield _analyze_one(text, next(korean) if has_hangul(text) else [])


def sentences(text: str) -> list[tuple[int, int]]:
    """Sentence spans of ``text``: by kiwi where there is Hangul, by punctuation elsewhere."""
    if not has_hangul(text):
        return _split_by_punctuation(text)
    return [(sentence.start, sentence.end) for sentence in tagger().split_into_sents(text)]


def _split_by_punctuation(text: str) -> list[tuple[int, int]]:
    spans, start = [], 0
    # A closing quote or bracket belongs to the sentence before it.
    ends = [(match.end(1) if match.lastindex else match.start(), match.end()) for match in _SENTENCE_END.finditer(text)]
    for boundary in [*ends, (len(text), len(text))]:
        piece = text[start : boundary[0]]
        if piece.strip():
            begin = start + len(piece) - len(piece.lstrip())
            spans.append((begin, start + len(piece.rstrip())))
        start = boundary[1]
    return spans


def _analyze_one(text: str, tokens: list[kiwipiepy.Token]) -> list[Sentence]:
    if tokens:
        starts: list[int] = []
        for token in tokens:
            if token.sent_position >= len(starts):
                starts.append(token.start)
        spans = list(zip(starts, [*starts[1:], len(text)], strict=True))
        spans[0] = (0, spans[0][1])
    else:
        spans = _split_by_punctuation(text)
        starts = [start for start, _ in spans]
    grams: list[list[str]] = [[] for _ in spans]
    words: list[list[str]] = [[] for _ in spans]
    previous: tuple[int, int] | None = None
    stem = ""
    for token in tokens:
        word = (token.sent_position, token.word_position)
        if word != previous:
            if previous is not None:
                grams[previous[0]] += _bigrams(stem)
            previous, stem = word, ""
        tag = token.tag.partition("-")[0]
        if tag in _GRAM_TAGS:
            stem += token.form
        if tag in _WORD_TAGS:
            words[token.sent_position].append(token.form)
    if previous is not None:
        grams[previous[0]] += _bigrams(stem)
    for match in _OTHER_RUN.finditer(text):
        terms = _other_terms(match)
        if terms:
            index = max(bisect_right(starts, match.start()) - 1, 0)
            grams[index] += terms
            words[index] += terms
    return [Sentence(start, end, tuple(grams[index]), tuple(words[index])) for index, (start, end) in enumerate(spans)]


def _bigrams(stem: str) -> list[str]:
    if len(stem) < 3:
        return [stem] if stem else []
    return [stem[i : i + 2] for i in range(len(stem) - 1)]


def _other_terms(match: re.Match[str]) -> list[str]:
    run = match.group()
    if match.lastgroup == "latin":
        word = run.lower().replace("’", "'")
        return [] if word in _STOP else [_stem(word)]
    if match.lastgroup == "number":
        return [run.replace(",", "")]
    return _bigrams(run)


@lru_cache(maxsize=200_000)
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))


@cache
def _stemmer() -> snowballstemmer.stemmer:
    return snowballstemmer.stemmer("english")
