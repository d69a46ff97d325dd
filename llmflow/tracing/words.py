"""Words of errors and warnings: they may quote a caller, a document or an endpoint."""

from __future__ import annotations

from collections.abc import Callable

from llmflow.tracing.attributes import encodable

MAX_CHARS = 2_000
HIDDEN = "(hidden: it could not be masked)"

Words = Callable[[str], str]
"""From what was said to what a trace may keep of it."""


def as_given(text: str) -> str:
    """The words as they are."""
    return encodable(text)


def masked_by(mask: Callable[[str], str]) -> Words:
    """Words as ``mask`` leaves them, the first 2,000 characters; hidden where it fails."""

    def words(text: str) -> str:
        text = encodable(text)
        if len(text) > MAX_CHARS:
            text = f"{text[:MAX_CHARS]}… (cut; {len(text)} characters)"
        try:
            return mask(text)
        except Exception:  # whatever a masker fails with, no step fails by being observed
            return HIDDEN

    return words
