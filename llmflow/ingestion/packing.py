"""From paragraphs to pieces of bounded size, with an overlap of whole sentences.

Sizes are tokens by :func:`llmflow.korean.count_tokens`. Sentences are looked for only in
what has to be cut: kiwi reads 125,000 characters a second, everything else here millions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from llmflow import korean

_NO_LANGUAGE = re.compile(r"\S{1000}")
"""Encoded data, say; kiwi would take minutes to find no sentence in it."""


@dataclass(frozen=True, slots=True)
class Atom:
    """Text that is not taken apart any more.

    ``order`` is the position of its element in the document, ``glue`` what stands between
    it and the atom before it, ``leads`` the opening lines of the lists it belongs to,
    outermost first.
    """

    text: str
    tokens: int
    page: int | None
    order: int
    glue: str = "\n"
    leads: tuple[str, ...] = ()


def atom(text: str, page: int | None, order: int, glue: str = "\n") -> Atom:
    """An atom of ``text`` with its tokens counted."""
    return Atom(text, korean.count_tokens(text), page, order, glue)


def joined(atoms: Sequence[Atom], leads: tuple[str, ...] = ()) -> Atom:
    """``atoms`` as one that stays together."""
    first = atoms[0]
    tokens = sum(part.tokens for part in atoms)
    return Atom(text_of(atoms), tokens, first.page, first.order, first.glue, leads)


def text_of(atoms: Sequence[Atom]) -> str:
    """The text of consecutive atoms."""
    return "".join(part.glue * (position > 0) + part.text for position, part in enumerate(atoms))


def cut(whole: Atom, budget: int) -> list[Atom]:
    """``whole`` in parts of at most ``budget`` tokens: lines, else sentences, else words, else characters."""
    return _cut(whole, budget, (_lines, _sentences, _words, _characters(budget)))


Splitter = Callable[[str], tuple[list[str], str]]


def _cut(whole: Atom, budget: int, splitters: Sequence[Splitter]) -> list[Atom]:
    if whole.tokens <= budget or not splitters:
        return [whole]
    texts, glue = splitters[0](whole.text)
    parts: list[Atom] = []
    for text in texts:
        part = atom(text, whole.page, whole.order, glue if parts else whole.glue)
        parts += _cut(part, budget, splitters[1:])
    if splitters[0] is _words:
        # Single words are no units of meaning: fill up.
        return [joined(group) for group in pack(parts, budget, lambda *_: [])]
    return parts


def _lines(text: str) -> tuple[list[str], str]:
    return [line for line in text.split("\n") if line.strip()], "\n"


def _sentences(text: str) -> tuple[list[str], str]:
    if _NO_LANGUAGE.search(text):
        return [text], " "
    return [text[start:end] for start, end in korean.sentences(text)], " "


def _words(text: str) -> tuple[list[str], str]:
    return text.split(), " "


def _characters(size: int) -> Splitter:
    return lambda text: ([text[start : start + size] for start in range(0, len(text), size)], "")


Carry = Callable[[Sequence[Atom], Atom], list[Atom]]
"""What a new piece repeats, from the piece before it and the atom it begins with."""


def pack(atoms: Sequence[Atom], budget: int, carry: Carry) -> Iterator[list[Atom]]:
    """Fill pieces of at most ``budget`` tokens, in order.

    A page's end closes a piece that is at least half full, unless a sentence runs on. A
    piece's page is that of its first atom that is not repeated: repeated atoms take it on.
    """
    piece: list[Atom] = []
    size = fresh = 0
    for part in atoms:
        turns = bool(piece) and part.page != piece[-1].page and part.glue == "\n\n" and fresh * 2 >= budget
        if piece and (size + part.tokens > budget or turns):
            yield piece
            repeated = carry(piece, part)
            while repeated and sum(old.tokens for old in repeated) + part.tokens > budget:
                repeated.pop(0)
            piece = [replace(old, page=part.page, order=part.order) for old in repeated]
            size, fresh = sum(old.tokens for old in piece), 0
        piece.append(part)
        size += part.tokens
        fresh += part.tokens
    if piece:
        yield piece


def last_sentences(limit: int) -> Carry:
    """Repeat whole sentences of the piece before, at most ``limit`` tokens of them."""

    def carry(piece: Sequence[Atom], _: Atom) -> list[Atom]:
        repeated: list[Atom] = []
        room = limit
        for part in reversed(piece):
            if part.tokens > room:
                repeated[:0] = _tail(part, room)
                break
            repeated.insert(0, part)
            room -= part.tokens
        return repeated

    return carry


def _tail(part: Atom, room: int) -> list[Atom]:
    # Characters that may hold `room` tokens and the end of the sentence before.
    width = room * (4 if korean.has_hangul(part.text) else 8)
    text = part.text[-width:] if width else ""
    if " " not in text:
        return []
    spans = korean.sentences(text)
    if len(text) < len(part.text):
        spans = spans[1:]
    kept: list[Atom] = []
    for start, end in reversed(spans):
        sentence = atom(text[start:end], part.page, part.order, " ")
        if sentence.tokens > room:
            break
        kept.insert(0, sentence)
        room -= sentence.tokens
    return kept


def opening_lines(limit: int) -> Carry:
    """Repeat the opening lines of the lists the new piece begins in, at most ``limit`` tokens."""

    def carry(_: Sequence[Atom], part: Atom) -> list[Atom]:
        repeated: list[Atom] = []
        room = limit
        for lead in part.leads:
            line = atom(lead, part.page, part.order)
            if line.tokens > room:
                break
            repeated.append(line)
            room -= line.tokens
        return repeated

    return carry
