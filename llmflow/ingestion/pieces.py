"""From one section to the texts of its chunks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from llmflow.ingestion.outline import Section
from llmflow.ingestion.packing import Atom, Carry, atom, cut, last_sentences, opening_lines, pack, text_of
from llmflow.ingestion.statutes import article_atoms, article_lines, is_enumerated, says_nothing
from llmflow.ingestion.tables import split_table
from llmflow.korean import count_tokens
from llmflow.schema import Element, ElementType
from llmflow.settings import ChunkingSettings

TINY_TOKENS = 40
"""Text below this says too little on its own."""

_ENDS = re.compile(r"[.!?。…:;)\]}>」』”’\"']$")
_RUNS_ON = re.compile(r"[가-힣a-z](?![.)])")
_BLANKS = re.compile(r"\n{3,}")
_TRAILING = re.compile(r"[^\S\n]+$", re.M)


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk in the making; ``order`` is its place among the document's elements."""

    text: str
    page: int | None
    order: int
    type: ElementType
    path: tuple[str, ...]
    article: str | None
    is_law: bool


def section_pieces(section: Section, settings: ChunkingSettings, *, is_parent: bool) -> list[Piece]:
    """The pieces of ``section`` in reading order, each beginning with its heading.

    A title without text makes a piece of its own, unless it belongs to law text or
    ``is_parent``: titles below it carry it on in their paths.
    """
    budget = max(settings.max_tokens - count_tokens(section.heading), settings.max_tokens // 2)
    texts, blocks = _sorted_out(section, settings)
    found: list[Piece] = []

    def add(text: str, page: int | None, order: int, kind: ElementType = ElementType.NARRATIVE_TEXT) -> None:
        # The first piece begins on the page of the title.
        page = page if found or not section.heading else section.page
        text = _tidy(f"{section.heading}\n{text}" if section.heading else text)
        found.append(Piece(text, page, order, kind, section.path, section.article, section.rank > 0))

    for group in _text_groups(section, texts, settings, budget):
        add(text_of(group), group[0].page, group[0].order)
    for block in blocks:
        for text in _block_texts(block, settings, budget):
            add(text, block.element.page, block.order, block.element.type)
    if not found and section.heading and not section.rank and not is_parent:
        add("", section.page, section.order, ElementType.TITLE)
    return sorted(found, key=lambda piece: piece.order)


@dataclass(frozen=True, slots=True)
class _Block:
    """A table or a picture's text. ``lead`` says before a table what it is about."""

    order: int
    element: Element
    lead: str = ""


def _sorted_out(section: Section, settings: ChunkingSettings) -> tuple[list[tuple[int, Element]], list[_Block]]:
    """Running text, and apart from it tables and text of pictures.

    A table takes its caption along; else it repeats the end of the text before it. Where
    all the text is tiny, the table takes all of it.
    """
    texts: list[tuple[int, Element]] = []
    blocks: list[_Block] = []
    for order, element in section.body:
        if element.type is ElementType.IMAGE:
            blocks.append(_Block(order, element))
        elif element.type is not ElementType.TABLE:
            texts.append((order, element))
        else:
            before = texts[-1][1] if texts and texts[-1][0] >= order - 1 else None
            all_text = "\n".join([section.heading, *(text.text for _, text in texts)])
            lead = ""
            if before and not blocks and before.page == element.page and count_tokens(all_text) < TINY_TOKENS:
                lead = "\n".join(_clean_lines(texts, section))
                texts.clear()
            elif before and _is_caption(before, element, section):
                lead = texts.pop()[1].text
            elif before:
                lead = _last_words(_clean_lines(texts[-1:], section), settings.overlap_tokens)
            blocks.append(_Block(order, element, lead))
    return texts, blocks


def _is_caption(element: Element, table: Element, section: Section) -> bool:
    text = element.text.strip()
    return (
        element.type is ElementType.NARRATIVE_TEXT
        and element.page == table.page
        and "\n" not in text
        and not text.endswith((".", "。"))
        and not (section.rank and is_enumerated(text))
        and count_tokens(text) <= TINY_TOKENS
    )


def _clean_lines(texts: Iterable[tuple[int, Element]], section: Section) -> list[str]:
    if section.rank:
        return [line for _, element in texts for line in article_lines(element.text)]
    return [line for _, element in texts for line in element.text.split("\n")]


def _last_words(lines: Sequence[str], limit: int) -> str:
    if not lines:
        return ""
    line = atom(lines[-1], None, 0)
    return text_of(last_sentences(limit)([line], line))


def _text_groups(
    section: Section, texts: Sequence[tuple[int, Element]], settings: ChunkingSettings, budget: int
) -> Iterator[list[Atom]]:
    carry: Carry
    if section.rank:
        lines = _law_lines(texts)
        if not lines or says_nothing(" ".join(line.text for line in lines)):
            return iter(())
        atoms, carry = article_atoms(lines, budget), opening_lines(settings.max_tokens // 4)
    else:
        atoms = _prose(texts, budget)
        carry = last_sentences(min(settings.overlap_tokens, settings.max_tokens // 2))
    return pack(atoms, budget, carry)


def _law_lines(texts: Iterable[tuple[int, Element]]) -> list[Atom]:
    lines: list[Atom] = []
    for order, element in texts:
        for text in article_lines(element.text):
            last = lines[-1] if lines else None
            if last and _continues(last.text, last.page, text, element.page):
                lines[-1] = atom(f"{last.text} {text}", last.page, last.order)
            else:
                lines.append(atom(text, element.page, order))
    return lines


def _prose(texts: Iterable[tuple[int, Element]], budget: int) -> list[Atom]:
    atoms: list[Atom] = []
    last: Element | None = None
    for order, element in texts:
        text = _tidy(element.text)
        if not text:
            continue
        glue = "\n\n"
        if last is not None:
            is_list = last.type is element.type is ElementType.LIST_ITEM
            if is_list:
                glue = "\n"
            elif element.type is not ElementType.LIST_ITEM and _continues(last.text, last.page, text, element.page):
                glue = " "
        atoms += cut(atom(text, element.page, order, glue), budget)
        last = element
    return atoms


def _continues(before: str, page_before: int | None, after: str, page_after: int | None) -> bool:
    """Whether a sentence runs on from one page to the next."""
    return page_before != page_after and not _ENDS.search(before.rstrip()) and _RUNS_ON.match(after) is not None


def _block_texts(block: _Block, settings: ChunkingSettings, budget: int) -> Iterator[str]:
    text = block.element.text
    if block.element.type is ElementType.TABLE:
        head = f"{block.lead}\n" if block.lead else ""
        room = max(budget - count_tokens(head), budget // 2)
        return (head + part for part in split_table(text, room))
    carry = last_sentences(min(settings.overlap_tokens, settings.max_tokens // 2))
    return (text_of(group) for group in pack(cut(atom(text, None, 0), budget), budget, carry))


def _tidy(text: str) -> str:
    return _BLANKS.sub("\n\n", _TRAILING.sub("", text)).strip()
