"""Plain text."""

from __future__ import annotations

import re

from llmflow.ingestion.parsers.base import Content, Source
from llmflow.ingestion.parsers.decoding import decode
from llmflow.ingestion.parsers.structure import MARKER
from llmflow.schema import Element, ElementType

_ARTICLE = re.compile(r"제\s?\d+\s?[조장절편관]")
_BLANK = re.compile(r"\n[^\S\n]*\n")
_WRAP_COLUMNS = 55


def parse(source: Source) -> Content:
    """Paragraphs of a text file: blocks between blank lines."""
    text, encoding = decode(source.data)
    content = Content(elements=paragraphs(text))
    if "\ufffd" in text:
        content.warnings.append(f"some bytes are no {encoding}; they were replaced by \ufffd")
    return content


def paragraphs(text: str) -> list[Element]:
    """Blocks of ``text`` between blank lines, hard-wrapped lines joined."""
    blocks = _BLANK.split(text.replace("\r\n", "\n").replace("\r", "\n"))
    return [Element(ElementType.NARRATIVE_TEXT, paragraph) for block in blocks for paragraph in _split(block)]


def _split(block: str) -> list[str]:
    # A line that is nearly as wide as a page was broken by the editor, not by the author.
    joined: list[str] = []
    wrapped = False
    for line in block.split("\n"):
        stripped = line.strip()
        if not stripped:
            continue
        if wrapped and not MARKER.match(stripped):
            joined[-1] += " " + stripped
        else:
            joined.append(stripped)
        wrapped = _width(stripped) >= _WRAP_COLUMNS
    if not joined:
        return []
    # Articles are paragraphs even where no blank line parts them.
    starts = [position for position, line in enumerate(joined) if position == 0 or _ARTICLE.match(line)]
    return ["\n".join(joined[a:b]) for a, b in zip(starts, [*starts[1:], len(joined)], strict=True)]


def _width(line: str) -> int:
    return len(line) + sum(character > "\u1100" for character in line)
