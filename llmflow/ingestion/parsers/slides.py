"""Presentations (PPTX)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pptx
from pptx.enum.shapes import MSO_SHAPE_TYPE

from llmflow.ingestion.parsers.base import Content, Source
from llmflow.ingestion.parsers.ooxml import open_package
from llmflow.ingestion.parsers.tables import Grid, table_elements
from llmflow.schema import Element, ElementType, FailureReason

_EMU_PER_POINT = 12700
# Level 1 is the title of the whole presentation.
_LEVEL = 2


def parse(source: Source) -> Content:
    """Slide titles, texts, tables, chart data and speaker notes; pages are slide numbers.

    Raises:
        DocumentError: too_large and those of :func:`~.ooxml.open_package`.
    """
    content = Content()
    presentation = open_package(source, pptx.Presentation, content)
    content.title = presentation.core_properties.title or None
    slides = list(presentation.slides)
    if len(slides) > source.settings.max_pages:
        raise source.error(
            FailureReason.TOO_LARGE,
            f"has {len(slides)} slides, allowed are {source.settings.max_pages} (parsing.max_pages); split it",
        )
    for page, slide in enumerate(slides, start=1):
        if slide.element.get("show") == "0":
            content.warnings.append(f"left out hidden slide {page}")
            continue
        title = slide.shapes.title
        if title is not None and title.has_text_frame:
            text = title.text_frame.text
            content.elements.append(Element(ElementType.TITLE, text, page, _place(title), _LEVEL))
            content.title = content.title or text
        rest = [shape for shape in slide.shapes if title is None or shape.shape_id != title.shape_id]
        content.elements += _shapes(rest, page)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            content.elements.append(Element(ElementType.NARRATIVE_TEXT, slide.notes_slide.notes_text_frame.text, page))
    return content


def _shapes(shapes: Iterable[Any], page: int) -> Iterator[Element]:
    for shape in shapes:
        if shape.shape_type == MSO_SHAPE_TYPE.GROUP:
            yield from _shapes(shape.shapes, page)
        elif getattr(shape, "has_table", False):
            yield from _table(shape, page)
        elif getattr(shape, "has_chart", False):
            yield from _chart(shape.chart, page)
        elif shape.has_text_frame:
            yield from _text(shape, page)


def _text(shape: Any, page: int) -> Iterator[Element]:
    listed = len(shape.text_frame.paragraphs) > 1 and shape.is_placeholder
    kind = ElementType.LIST_ITEM if listed else ElementType.NARRATIVE_TEXT
    for paragraph in shape.text_frame.paragraphs:
        yield Element(kind, paragraph.text, page, _place(shape))


def _table(shape: Any, page: int) -> list[Element]:
    grid = Grid()
    for row_number, row in enumerate(shape.table.rows):
        for column, cell in enumerate(row.cells):
            if not cell.is_spanned:
                rows, columns = (cell.span_height, cell.span_width) if cell.is_merge_origin else (1, 1)
                grid.place(row_number, column, cell.text_frame.text, rows, columns)
    return grid.elements(page, _place(shape))


def _chart(chart: Any, page: int) -> Iterator[Element]:
    if chart.has_title and chart.chart_title.has_text_frame:
        yield Element(ElementType.NARRATIVE_TEXT, chart.chart_title.text_frame.text, page)
    for plot in chart.plots:
        series = list(plot.series)
        rows = [["", *(one.name or "" for one in series)]]
        for number, category in enumerate(plot.categories):
            values = (one.values[number] if number < len(one.values) else None for one in series)
            rows.append([str(category), *("" if value is None else f"{value:g}" for value in values)])
        yield from table_elements(rows, page)


def _place(shape: Any) -> tuple[float, float, float, float] | None:
    if None in (shape.left, shape.top, shape.width, shape.height):
        return None
    edges = (shape.left, shape.top, shape.left + shape.width, shape.top + shape.height)
    x0, top, x1, bottom = (edge / _EMU_PER_POINT for edge in edges)
    return x0, top, x1, bottom
