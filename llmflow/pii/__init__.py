"""Finding and masking personal data, Korean first. Text in, text out; no stores."""

from __future__ import annotations

from llmflow.pii.entities import ENTITY_TYPES
from llmflow.pii.masker import MaskedText, Masker

__all__ = ["ENTITY_TYPES", "MaskedText", "Masker"]
