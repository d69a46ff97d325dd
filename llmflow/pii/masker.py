"""Mask personal data in texts, with the spans of what was masked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from llmflow.errors import ConfigurationError
from llmflow.pii.entities import ENTITY_TYPES, placeholder
from llmflow.schema import PiiEntity
from llmflow.settings import PiiSettings


@dataclass(frozen=True, slots=True)
class MaskedText:
    """A text after masking. ``entities`` are what was replaced, as spans of the original."""

    text: str
    entities: tuple[PiiEntity, ...]


class Masker:
    """Find and mask personal data in Korean, English and mixed text.

    Cheap to build: the recognizers and kiwi are loaded by the first text. Safe to share
    between threads.

    Args:
        settings: threshold and policy; ``enabled=False`` makes :meth:`mask` return texts
            unchanged (:meth:`find` still finds).

    Raises:
        ConfigurationError: the policy names an entity type that does not exist.
    """

    def __init__(self, settings: PiiSettings) -> None:
        for entity_type in settings.policy:
            if entity_type not in ENTITY_TYPES:
                raise ConfigurationError(
                    f"pii.policy names the entity type {entity_type!r}; allowed: {', '.join(ENTITY_TYPES)}",
                    param="pii.policy",
                )
        self._settings = settings
        self._masked = frozenset(name for name in ENTITY_TYPES if settings.policy.get(name) != "keep")

    def find(self, text: str) -> list[PiiEntity]:
        """All personal data in ``text`` whose score reaches the threshold, whatever the policy.

        Returns:
            Entities in order of their position, none overlapping another.
        """
        return self._find_many([text])[0]

    def mask(self, text: str) -> MaskedText:
        """``text`` with every finding replaced by ``[TYPE]``, except types the policy keeps."""
        return self.mask_many([text])[0]

    def mask_many(self, texts: Iterable[str]) -> list[MaskedText]:
        """:meth:`mask` of each text, the words of all texts going through kiwi in one batch."""
        texts = list(texts)
        if not self._settings.enabled:
            return [MaskedText(text, ()) for text in texts]
        return [self._replace(text, found) for text, found in zip(texts, self._find_many(texts), strict=True)]

    def _find_many(self, texts: list[str]) -> list[list[PiiEntity]]:
        from llmflow.pii.engine import analyze  # Presidio takes two seconds to import

        return [resolve(found) for found in analyze(texts, self._settings.threshold)]

    def _replace(self, text: str, found: list[PiiEntity]) -> MaskedText:
        entities = tuple(entity for entity in found if entity.type in self._masked)
        pieces, position = [], 0
        for entity in entities:
            pieces += [text[position : entity.start], placeholder(entity.type)]
            position = entity.end
        return MaskedText("".join([*pieces, text[position:]]), entities)


def resolve(found: Iterable[PiiEntity]) -> list[PiiEntity]:
    """One entity per stretch of overlapping findings: the best scored, then the longest, then the first.

    The winner covers the whole stretch, so that no part of a loser stays readable.
    """
    stretches: list[list[PiiEntity]] = []
    end = -1
    for entity in sorted(found, key=lambda item: (item.start, item.type)):
        if entity.start >= end:
            stretches.append([])
        stretches[-1].append(entity)
        end = max(end, entity.end)
    return [_winner(stretch) for stretch in stretches]


def _winner(stretch: list[PiiEntity]) -> PiiEntity:
    best = max(stretch, key=lambda item: (item.score, item.end - item.start))
    return replace(best, start=stretch[0].start, end=max(item.end for item in stretch))
