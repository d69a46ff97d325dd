"""Presidio's analyzer with recognizers of our own and kiwi in the place of a spaCy model.

One registry serves every language: Hangul is judged by the Korean rules and Latin letters
by the English ones wherever they stand, so mixed text needs no setting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from presidio_analyzer import AnalyzerEngine, EntityRecognizer, Pattern, PatternRecognizer, RecognizerRegistry
from presidio_analyzer import RecognizerResult as Result
from presidio_analyzer.context_aware_enhancers import ContextAwareEnhancer
from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine

from llmflow.pii.addresses import AddressRecognizer
from llmflow.pii.english import ENGLISH
from llmflow.pii.entities import ENTITY_TYPES, PLACEHOLDER
from llmflow.pii.identifiers import GENERAL, Identifier
from llmflow.pii.korean_identifiers import KOREAN
from llmflow.pii.persons import PersonRecognizer, name_words
from llmflow.pii.words import read_words
from llmflow.schema import PiiEntity

LANGUAGE = "mul"
"""ISO 639-2 for multiple languages: the one language the registry knows."""

_CONTEXT_BEFORE = 30
_CONTEXT_AFTER = 10
_CONTEXT_GAIN = 0.35


class IdentifierRecognizer(PatternRecognizer):  # type: ignore[misc]
    """Patterns, context words and a check of one identifier."""

    def __init__(self, identifier: Identifier) -> None:
        self._check = identifier.check
        flags = re.IGNORECASE if identifier.ignore_case else 0
        self._needs = re.compile(identifier.needs, flags)
        super().__init__(
            identifier.entity,
            name=f"{identifier.entity} pattern",
            supported_language=LANGUAGE,
            patterns=[
                Pattern(f"{identifier.entity} {number}", pattern, score)
                for number, (pattern, score) in enumerate(identifier.patterns)
            ],
            context=list(identifier.context) or None,
            global_regex_flags=flags,
        )

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None, regex_flags: int = 0) -> list[Result]:
        """Presidio's matching, where the text can hold the identifier at all."""
        if not self._needs.search(text):
            return []
        found: list[Result] = super().analyze(text, entities, nlp_artifacts, regex_flags)
        return found

    def validate_result(self, pattern_text: str) -> bool | None:
        """The identifier's check."""
        return self._check(pattern_text) if self._check else None


class WordlessEngine(NlpEngine):  # type: ignore[misc]
    """Satisfies Presidio's interface; recognizers ask :mod:`llmflow.pii.words` themselves.

    Presidio's artifacts are spaCy tokens of the whole text. Only a few words can be names,
    so morphemes are looked up word by word (and remembered) instead.
    """

    def load(self) -> None:
        """Nothing to load: kiwi loads with its first word."""

    def is_loaded(self) -> bool:
        """Always."""
        return True

    def process_text(self, text: str, language: str) -> NlpArtifacts:
        """No tokens."""
        return NlpArtifacts([], [], [], [], self, language)

    def process_batch(self, texts: Iterable[str], language: str, **_: Any) -> Iterator[tuple[str, NlpArtifacts]]:
        """Look up the words of all texts in one go, then :meth:`process_text` of each."""
        texts = list(texts)
        read_words(word for text in texts for word in name_words(text))
        for text in texts:
            yield text, self.process_text(text, language)

    def is_stopword(self, word: str, language: str) -> bool:
        """Never."""
        return False

    def is_punct(self, word: str, language: str) -> bool:
        """Never."""
        return False

    def get_supported_entities(self) -> list[str]:
        """None: the engine finds nothing itself."""
        return []

    def get_supported_languages(self) -> list[str]:
        """The one of the registry."""
        return [LANGUAGE]


class NearbyContext(ContextAwareEnhancer):  # type: ignore[misc]
    """Raise a score where a context word stands near, on the same line or right above.

    Reads characters, not lemmas (Korean words carry particles), and never across a
    placeholder.
    """

    def __init__(self) -> None:
        super().__init__(_CONTEXT_GAIN, 0.4, _CONTEXT_BEFORE, _CONTEXT_AFTER)

    def enhance_using_context(
        self,
        text: str,
        raw_results: list[Result],
        nlp_artifacts: NlpArtifacts,
        recognizers: list[EntityRecognizer],
        context: list[str] | None = None,
    ) -> list[Result]:
        """Presidio's hook."""
        wanted = {recognizer.id: _words(tuple(recognizer.context)) for recognizer in recognizers if recognizer.context}
        for result in raw_results:
            words = wanted.get(result.recognition_metadata[Result.RECOGNIZER_IDENTIFIER_KEY])
            if words and result.score < 1 and words.search(_surroundings(text, result.start, result.end)):
                result.score = min(result.score + self.context_similarity_factor, 0.95)
        return raw_results


@cache
def _words(context: tuple[str, ...]) -> re.Pattern[str]:
    """Latin words must stand alone (``tel`` is not in ``hotel``); Korean ones may carry particles."""
    return re.compile("|".join(rf"(?<![a-z]){word}(?![a-z])" if word.isascii() else word for word in context))


def _surroundings(text: str, start: int, end: int) -> str:
    before = PLACEHOLDER.split(text[max(0, start - _CONTEXT_BEFORE) : start])[-1]
    after = PLACEHOLDER.split(text[end : end + _CONTEXT_AFTER])[0].partition("\n")[0]
    return f"{before}\n{after}".lower()


@cache
def _engine() -> AnalyzerEngine:
    recognizers: list[EntityRecognizer] = [
        IdentifierRecognizer(identifier) for identifier in (*GENERAL, *KOREAN, *ENGLISH)
    ]
    recognizers += [PersonRecognizer(LANGUAGE), AddressRecognizer(LANGUAGE)]
    registry = RecognizerRegistry(recognizers=recognizers, supported_languages=[LANGUAGE])
    return AnalyzerEngine(
        registry=registry,
        nlp_engine=WordlessEngine(),
        supported_languages=[LANGUAGE],
        context_aware_enhancer=NearbyContext(),
    )


def analyze(texts: list[str], threshold: float) -> Iterator[list[PiiEntity]]:
    """All findings of each text with a score of at least ``threshold``; they may overlap."""
    engine = _engine()
    for text, artifacts in engine.nlp_engine.process_batch(texts, LANGUAGE):
        found = engine.analyze(
            text, LANGUAGE, entities=list(ENTITY_TYPES), score_threshold=threshold, nlp_artifacts=artifacts
        )
        yield [PiiEntity(item.entity_type, item.start, item.end, round(float(item.score), 2)) for item in found]
