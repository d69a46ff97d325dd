"""One module a format, each from bytes to :class:`~.base.Content`; nothing here knows of processes or stores.

To read an untrusted file use :func:`llmflow.ingestion.sandbox.parse`: the parsers trust
that somebody else limits their time and memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePath

from llmflow.errors import DocumentError
from llmflow.ingestion.parsers import (
    delimited,
    detect,
    hwp,
    hwpx,
    image,
    mail,
    markdown,
    pdf,
    sheets,
    slides,
    text,
    word,
)
from llmflow.ingestion.parsers import html as html_pages
from llmflow.ingestion.parsers.base import Content, Source
from llmflow.ingestion.parsers.cleaning import clean
from llmflow.ingestion.parsers.structure import MARKER, with_headings
from llmflow.schema import Element, ElementType, FailureReason, ParsedDocument

PARSERS: dict[str, Callable[[Source], Content]] = {
    detect.PDF: pdf.parse,
    detect.DOCX: word.parse,
    detect.PPTX: slides.parse,
    detect.XLSX: sheets.parse,
    detect.CSV: delimited.parse,
    detect.HTML: html_pages.parse,
    detect.MARKDOWN: markdown.parse,
    detect.TEXT: text.parse,
    detect.EML: mail.parse,
    detect.HWP: hwp.parse,
    detect.HWPX: hwpx.parse,
    **dict.fromkeys(detect.IMAGES, image.parse),
}

_NO_TITLE = re.compile(
    r"^(?:untitled|\(?anonymous\)?|제목\s?없음|무제|(?:document|문서|slide|powerpoint presentation|새\s.*문서)\s?\d*"
    r"|microsoft (?:word|excel|powerpoint) - .*|.*\.(?:pdf|docx?|hwpx?|pptx?|xlsx?|indd|jpe?g|png|html?|txt))$",
    re.I,
)
_MAX_TITLE = 200


def parse_source(source: Source) -> ParsedDocument:
    """Find out what ``source`` is, parse it and tidy up the result.

    Raises:
        DocumentError: with the reason why it cannot be parsed.
    """
    mime_type = detect.detect(source)
    content = PARSERS[mime_type](source)
    elements = _tidy(content.elements)
    warnings = [clean(warning) for warning in content.warnings]
    for name, data in content.attachments:
        elements += _attachment(Source(data, name, source.settings, source.depth + 1), warnings)
    if not elements:
        raise source.error(FailureReason.EMPTY, "holds no text" + "".join(f"; {warning}" for warning in warnings))
    return ParsedDocument(_title(content, source), mime_type, tuple(elements), tuple(warnings))


def _tidy(elements: list[Element]) -> list[Element]:
    cleaned = [replace(element, text=text) for element in elements if (text := clean(element.text))]
    return with_headings(cleaned)


def _attachment(source: Source, warnings: list[str]) -> list[Element]:
    if source.depth > 1:
        warnings.append(f"left out {source.name}: it is attached to an attachment")
        return []
    try:
        parsed = parse_source(source)
    except DocumentError as error:
        warnings.append(f"left out attachment {error.message}")
        return []
    warnings += [f"attachment {source.name}: {warning}" for warning in parsed.warnings]
    return [Element(ElementType.TITLE, source.name, level=2), *parsed.elements]


def _title(content: Content, source: Source) -> str:
    """The document's own title, else its one top heading, else the stem of its name."""
    for candidate in (content.title, _top_heading(content.elements)):
        title = " ".join(clean(candidate or "").split())
        if 1 < len(title) <= _MAX_TITLE and not _NO_TITLE.match(title):
            return title
    return PurePath(source.name).stem


def _top_heading(elements: list[Element]) -> str | None:
    top = [element for element in elements if element.type is ElementType.TITLE and element.level == 1]
    # Several top headings are chapters, unless the first of them opens the document.
    if top and (len(top) == 1 or top[0] is elements[0] or top[0].page == 1) and not MARKER.match(top[0].text):
        return top[0].text
    return None
