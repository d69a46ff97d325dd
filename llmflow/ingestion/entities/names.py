"""Names in text: runs of capitalised Latin words, and names between Korean title brackets.

Korean common nouns are no names: spreading along every mention of "손해배상" was measured and
lowers the ranking.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_WORD = r"[A-ZÀ-ÖØ-Þ][\w'’&.-]*[\w]|[A-ZÀ-ÖØ-Þ]\.?"
_JOIN = r"(?:of|the|and|for|in|on|to|at|de|da|di|del|der|du|la|le|van|von|y|&)"
_RUN = re.compile(rf"(?:{_WORD})(?:(?:\s+{_JOIN}){{0,2}}\s+(?:{_WORD}|\d+))*")
_SPLIT = re.compile(rf"\s+(?:{_JOIN}\s+)+")
_BRACKETED = re.compile(r"[「『《〈]([^「」『』《》〈〉]{2,80})[」』》〉]")
_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z_]*\]")
_MAX_WORDS = 8
# Capitalised at the start of a sentence, and no name.
_FUNCTION_WORDS = frozenset({
    "a", "an", "the", "this", "that", "these", "those", "it", "its", "he", "his", "she", "her", "they", "their", "we",
    "our", "you", "your", "i", "in", "on", "at", "of", "to", "for", "from", "by", "with", "as", "and", "or", "but",
    "if", "when", "while", "where", "after", "before", "during", "since", "until", "although", "though", "because",
    "however", "also", "both", "each", "there", "here", "what", "which", "who", "how", "why", "all", "some", "many",
    "most", "more", "other", "such", "no", "not",
})  # fmt: skip


def find_names(text: str) -> Iterator[str]:
    """Names in order, with repetitions: each run, and what stands on either side of its small words."""
    text = _PLACEHOLDER.sub(" ", text)
    yield from (match[1].strip() for match in _BRACKETED.finditer(text))
    for match in _RUN.finditer(text):
        run = match.group().rstrip(".")
        whole = _trimmed(run)
        if whole:
            yield whole
        if whole != run and len(run.split()) > 1:
            yield run
        words = run.split()
        # "Minority Leader Scott Howell": the name is the end of it.
        yield from (" ".join(words[-count:]) for count in (2, 3) if len(words) > count)
        parts = _SPLIT.split(run)
        if len(parts) > 1:
            yield from filter(None, map(_trimmed, parts))


def _trimmed(run: str) -> str | None:
    """A run without function words at its start; None where nothing is left, or too much."""
    words = run.split()
    while words and words[0].lower() in _FUNCTION_WORDS:
        words.pop(0)
    name = " ".join(words)
    return name if len(name) > 2 and len(words) <= _MAX_WORDS else None
