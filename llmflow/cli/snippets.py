"""The piece of a passage that shows why it was found."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.text import Text

from llmflow.cli.output import printable
from llmflow.korean import Sentence, analyze

WIDTH = 160
_LEAD = 30
_MATCH_STYLE = "bold yellow"
_TABLE_RULE = re.compile(r"[|:\-\s]+")
_WORD = re.compile(r"[^\s|()\[\]<>「」“”\"'·,]+")


def snippet(question: str, text: str) -> Text:
    """The part of ``text`` that holds most of the question's words, these highlighted."""
    wanted = _terms(next(analyze([question])))
    lines = [line.strip() for line in text.splitlines() if line.strip() and not _TABLE_RULE.fullmatch(line.strip())]
    units = [
        (line[sentence.start : sentence.end].strip(), len(wanted & _terms([sentence])))
        for line, sentences in zip(lines, analyze(lines), strict=True)
        for sentence in sentences
    ]
    if not units:
        return Text()
    best = max(range(len(units)), key=lambda number: units[number][1])
    first, length = best, len(units[best][0])
    while first and length + len(units[first - 1][0]) < _LEAD:  # a short heading helps to understand what follows
        first -= 1
        length += len(units[first][0])
    flat = printable(" ".join(unit for unit, _ in units[first:]))
    return _cut(_highlighted(flat[: 4 * WIDTH], wanted), leading=first > 0, longer=len(flat) > 4 * WIDTH)


def _highlighted(flat: str, wanted: set[str]) -> Text:
    words = list(_WORD.finditer(flat))
    shown = Text(flat)
    for word, sentences in zip(words, analyze([word.group() for word in words]), strict=True):
        if wanted & _terms(sentences):
            shown.stylize(_MATCH_STYLE, *word.span())
    return shown


def _cut(shown: Text, *, leading: bool, longer: bool) -> Text:
    """At most WIDTH characters, from a little before the first match."""
    start = max(min((span.start for span in shown.spans), default=0) - _LEAD, 0) if len(shown) > WIDTH else 0
    piece = shown[start : start + WIDTH]
    before = "… " if leading or start else ""
    after = " …" if longer or start + WIDTH < len(shown) else ""
    return Text(before).append_text(piece).append(after)


def _terms(sentences: Iterable[Sentence]) -> set[str]:
    return {word for sentence in sentences for word in sentence.words}
