"""PDF documents: PDFium for text and lines, OCR for pages without usable text."""

from __future__ import annotations

import math
import re

import pypdfium2 as pdfium

from llmflow.ingestion.parsers.base import Content, Source, pages_phrase
from llmflow.ingestion.parsers.ocr import Ocr
from llmflow.ingestion.parsers.pdf_layout import to_elements
from llmflow.ingestion.parsers.pdf_lines import Item, drop_repeats, lines_of
from llmflow.ingestion.parsers.pdf_page import Page, covered, read_page
from llmflow.schema import Element, FailureReason

_DPI = 300
_MAX_PIXELS = 40_000_000
# Codes instead of characters: a font without a map to Unicode.
_CODES = re.compile("[\x00-\x08\x0e-\x1f]")
_UNKNOWN = re.compile("[\ufffd\ue000-\uf8ff\U000f0000-\U0010fffd]")
_CODES_SHARE, _UNKNOWN_SHARE = 0.05, 0.5
_REPLACED = "\ufffd".encode()
_MAX_REPLACED = 100
_FEW_CHARACTERS = 20


def parse(source: Source) -> Content:
    """Titles, paragraphs and ruled tables with pages and coordinates.

    Running headers and footers, page numbers and text a reader cannot see are left out.
    Pages without usable text are read by OCR; where that is not possible and other pages
    have text, a warning names them.

    Raises:
        DocumentError: encrypted, malformed, too_large or needs_ocr.
    """
    document = _open(source)
    pages: list[tuple[float, list[Item]]] = []
    to_read: list[int] = []
    content = Content()
    hidden: dict[int, int] = {}
    broken: list[int] = []
    for index in range(len(document)):
        try:
            page = read_page(document[index], index + 1)
        except pdfium.PdfiumError:
            broken.append(index + 1)
            continue
        if page.hidden:
            hidden[page.number] = page.hidden
        if _needs_ocr(page):
            to_read.append(page.number)
        else:
            pages.append((page.height, lines_of(page)))
    if len(broken) == len(document):
        raise source.error(FailureReason.MALFORMED, "none of its pages can be read; save it again")
    items, repeated = drop_repeats(pages)
    content.elements += to_elements(items)
    content.title = document.get_metadata_dict().get("Title") or None
    if repeated:
        content.warnings.append("left out running headers and footers: " + "; ".join(f"“{text}”" for text in repeated))
    if hidden:
        content.warnings.append(
            f"left out {sum(hidden.values())} characters that a reader cannot see on {pages_phrase(sorted(hidden))}"
        )
    if broken:
        content.warnings.append(f"{pages_phrase(broken)} cannot be read and were left out")
    if to_read:
        _read_scans(document, to_read, source, content)
    if not content.elements and source.data.count(_REPLACED) > _MAX_REPLACED:
        raise source.error(
            FailureReason.MALFORMED, "was stored as text, which destroyed its content; get the original file"
        )
    for index in range(document.count_attachments()):
        attachment = document.get_attachment(index)
        content.attachments.append((attachment.get_name(), bytes(attachment.get_data())))
    return content


def _open(source: Source) -> pdfium.PdfDocument:
    try:
        document = pdfium.PdfDocument(source.data)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            raise source.error(FailureReason.ENCRYPTED, "is encrypted; save it without a password") from None
        raise source.error(FailureReason.MALFORMED, f"its structure is broken ({error}); save it again") from None
    if not len(document):
        raise source.error(FailureReason.MALFORMED, "has no pages; save it again")
    if len(document) > source.settings.max_pages:
        raise source.error(
            FailureReason.TOO_LARGE,
            f"has {len(document)} pages, allowed are {source.settings.max_pages} (parsing.max_pages); split it",
        )
    return document


def _needs_ocr(page: Page) -> bool:
    """Whether what is to be read on the page is not in its text layer."""
    text = "".join(char.text for char in page.chars if not char.text.isspace())
    if len(_CODES.findall(text)) > _CODES_SHARE * len(text) or len(_UNKNOWN.findall(text)) > _UNKNOWN_SHARE * len(text):
        return True
    pictured = covered(page.drawing.pictures, page.width, page.height) > 0.5
    return len(text) < (_FEW_CHARACTERS if pictured else 1) and (pictured or bool(page.drawing.pictures))


def _read_scans(document: pdfium.PdfDocument, numbers: list[int], source: Source, content: Content) -> None:
    ocr = Ocr(source.settings)
    if ocr.remedy:
        what = f"{pages_phrase(numbers)} without readable text"
        if not content.elements:
            raise source.error(FailureReason.NEEDS_OCR, f"has {what} and needs OCR; {ocr.remedy}")
        content.warnings.append(f"left out {what}: {ocr.remedy}")
        return
    read: list[Element] = []
    for number in numbers:
        page = document[number - 1]
        width, height = page.get_size()
        scale = min(_DPI / 72, math.sqrt(_MAX_PIXELS / max(width * height, 1)))
        picture = page.render(scale=scale, grayscale=True).to_pil()
        read += ocr.read(picture, number, max(72 * scale, 70))
    content.elements = sorted([*content.elements, *read], key=lambda element: element.page or 0)
    content.warnings.append(f"{pages_phrase(numbers)} read by OCR")
    if ocr.warning:
        content.warnings.append(ocr.warning)
