"""From elements in reading order to sections: what text stands under which titles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from llmflow.ingestion.statutes import TOP_RANK, Head, HeadReader, may_hold_heads, names_article
from llmflow.korean import count_tokens
from llmflow.schema import Element, ElementType

_MAX_TITLE_TOKENS = 80
"""A longer "title" is text that a parser mistook for one."""
_UNREAD = (ElementType.TABLE, ElementType.IMAGE)


@dataclass(slots=True)
class Section:
    """Text under one title, up to the next title of any depth.

    ``path`` are the titles down to ``heading``, without the document's own. ``rank`` is 0
    outside law text, else that of :class:`~.statutes.Head`. ``order`` is the position of
    the title among the document's elements; ``body`` keeps the same with each element.
    """

    path: tuple[str, ...] = ()
    heading: str = ""
    rank: int = 0
    page: int | None = None
    order: int = 0
    article: str | None = None
    body: list[tuple[int, Element]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Open:
    text: str
    level: int
    rank: int


def sections(elements: Sequence[Element], title: str) -> list[Section]:
    """The sections of a document called ``title``, in reading order.

    Divisions of law text (편, 장, 절, 관, 조) nest by what they are, other titles by their
    level. The first section holds the text before the first title.
    """
    reader = HeadReader()
    opened: list[_Open] = []
    found = [Section()]
    for order, element in enumerate(elements):
        for part in _parts(element, reader):
            if isinstance(part, Element) and part.type is not ElementType.TITLE:
                found[-1].body.append((order, part))
                continue
            head = part if isinstance(part, Head) else Head(0, " ".join(part.text.split()))
            _nest(opened, head, element.level, reader)
            path = tuple(above.text for above in opened if above.text != title)
            heading = f"{head.under} {head.text}".strip()
            found.append(Section(path, heading, head.rank, element.page, order, head.article))
            if head.rest:
                rest = replace(element, type=ElementType.NARRATIVE_TEXT, text=head.rest, level=None)
                found[-1].body.append((order, rest))
    return found


def _nest(opened: list[_Open], head: Head, level: int | None, reader: HeadReader) -> None:
    """Close the titles that ``head`` ends and open it."""
    if head.rank:
        level = level or head.rank
        closed = next((index for index, above in enumerate(opened) if above.rank >= head.rank), len(opened))
    else:
        level = level or next((above.level for above in reversed(opened) if not above.rank), 1)
        closed = next((index for index, above in enumerate(opened) if above.level >= level), len(opened))
        if any(above.rank == TOP_RANK for above in opened[closed:]):
            reader.end_supplement()
    del opened[closed:]
    opened.append(_Open(head.text, level, head.rank))


def _parts(element: Element, reader: HeadReader) -> Iterator[Head | Element]:
    """``element`` taken apart at the headings of law text in it."""
    if element.type in _UNREAD:
        yield element
        return
    if not may_hold_heads(element.text):
        yield _checked(element)
        return
    lines: list[str] = []
    for line in element.text.split("\n"):
        if reader.omits(line):
            continue
        head = reader.read(line, is_title=element.type is ElementType.TITLE)
        if head is None:
            lines.append(line)
            continue
        if lines:
            yield _checked(replace(element, text="\n".join(lines)))
        lines = []
        yield head
    if lines:
        yield _checked(replace(element, text="\n".join(lines)))


def _checked(element: Element) -> Element:
    """``element``, as text if it is called a title but is none."""
    if element.type is ElementType.TITLE and (
        names_article(element.text) or count_tokens(element.text) > _MAX_TITLE_TOKENS
    ):
        return replace(element, type=ElementType.NARRATIVE_TEXT, level=None)
    return element
