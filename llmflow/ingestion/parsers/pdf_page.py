"""What is drawn on a PDF page: characters in content order, ruling lines, pictures.

Coordinates are points from the upper left corner of the page as it is shown, that is
after its rotation.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pypdfium2 as pdfium
import pypdfium2.raw as raw
from PIL import Image

Box = tuple[float, float, float, float]
Matrix = tuple[float, float, float, float, float, float]

_IDENTITY: Matrix = (1, 0, 0, 1, 0, 0)
_MAX_OBJECTS = 30_000
_MAX_DEPTH = 8
_STRAIGHT = 1.0
_MIN_EDGE = 3.0
_WHITE = 243
_BACKDROP_PIXELS = 2_000_000
_TINY = 2.0
_BOLD_WEIGHT = 600


@dataclass(slots=True)
class Char:
    """A character as shown; ``box`` is None for spaces and breaks that PDFium made up."""

    text: str
    box: Box | None
    size: float
    bold: bool


@dataclass(slots=True)
class Drawing:
    """What lies on the page besides text."""

    edges: list[Box] = field(default_factory=list)
    """Straight lines as boxes without width or without height."""
    pictures: list[Box] = field(default_factory=list)
    paths: int = 0


@dataclass(slots=True)
class Page:
    """One page. ``hidden`` counts characters a reader does not see; they are not in ``chars``."""

    number: int
    width: float
    height: float
    chars: list[Char]
    drawing: Drawing
    hidden: int


@dataclass(frozen=True, slots=True)
class _Look:
    size: float
    bold: bool
    invisible: bool
    white: bool


def read_page(page: pdfium.PdfPage, number: int) -> Page:
    """Characters and drawing of ``page``. Invisible text stays if it is the OCR layer of a scan."""
    width, height = page.get_size()
    place = _placer(page)
    drawing = Drawing()
    _collect(drawing, place, _page_objects(page), _IDENTITY, 0)
    scan = covered(drawing.pictures, width, height) > 0.5
    text = page.get_textpage()
    try:
        chars, hidden = _read_chars(text, place, _Backdrop(page), (width, height), keep_invisible=scan)
    finally:
        text.close()
    return Page(number, width, height, chars, drawing, hidden)


def covered(boxes: list[Box], width: float, height: float) -> float:
    """About which share of the page ``boxes`` cover (overlaps count twice)."""
    area = sum(
        max(min(x1, width) - max(x0, 0), 0) * max(min(bottom, height) - max(top, 0), 0) for x0, top, x1, bottom in boxes
    )
    return area / max(width * height, 1)


class _Backdrop:
    """The page as it looks, drawn when it is first asked for."""

    def __init__(self, page: pdfium.PdfPage) -> None:
        self._page = page
        self._picture: Image.Image | None = None
        self._scale = 1.0

    def is_white(self, box: Box) -> bool:
        """Whether there is nothing but white in ``box``."""
        if self._picture is None:
            width, height = self._page.get_size()
            self._scale = min(1.5, math.sqrt(_BACKDROP_PIXELS / max(width * height, 1)))
            self._picture = self._page.render(scale=self._scale, grayscale=True).to_pil().convert("L")
        left, upper, right, lower = (edge * self._scale for edge in box)
        corner = int(left), int(upper)
        area = self._picture.crop((*corner, max(math.ceil(right), corner[0] + 1), max(math.ceil(lower), corner[1] + 1)))
        return not any(area.histogram()[:_WHITE])


def _placer(page: pdfium.PdfPage) -> Callable[[float, float], tuple[float, float]]:
    left, bottom, right, top = page.get_bbox()
    rotation = page.get_rotation()
    if rotation == 90:
        return lambda x, y: (y - bottom, x - left)
    if rotation == 180:
        return lambda x, y: (right - x, y - bottom)
    if rotation == 270:
        return lambda x, y: (top - y, right - x)
    return lambda x, y: (x - left, top - y)


def _between(a: tuple[float, float], b: tuple[float, float]) -> Box:
    (ax, ay), (bx, by) = a, b
    return (ax if ax < bx else bx, ay if ay < by else by, bx if ax < bx else ax, by if ay < by else ay)


def _box(points: list[tuple[float, float]]) -> Box:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def _read_chars(
    text: pdfium.PdfTextPage,
    place: Callable[[float, float], tuple[float, float]],
    backdrop: _Backdrop,
    size: tuple[float, float],
    keep_invisible: bool,
) -> tuple[list[Char], int]:
    handle = text.raw
    rectangle = raw.FS_RECTF()
    reference = ctypes.byref(rectangle)
    looks: dict[int | None, _Look] = {}
    chars: list[Char] = []
    hidden = 0
    for index in range(text.count_chars()):
        code = raw.FPDFText_GetUnicode(handle, index)
        if code in (10, 13):
            if not chars or chars[-1].text != "\n":
                chars.append(Char("\n", None, 0, False))
            continue
        character = chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"
        owner = raw.FPDFText_GetTextObject(handle, index)
        if not owner or raw.FPDFText_IsGenerated(handle, index) == 1:
            chars.append(Char(character, None, 0, False))
            continue
        address = ctypes.cast(owner, ctypes.c_void_p).value
        look = looks.get(address)
        if look is None:
            look = looks[address] = _look(handle, index, owner)
        raw.FPDFText_GetLooseCharBox(handle, index, reference)
        box = _between(place(rectangle.left, rectangle.bottom), place(rectangle.right, rectangle.top))
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        unseen = (
            (look.invisible and not keep_invisible)
            or look.size < _TINY
            or not (-1 <= x <= size[0] + 1 and -1 <= y <= size[1] + 1)
            or (look.white and backdrop.is_white(box))
        )
        if unseen and not character.isspace():
            hidden += 1
        elif not unseen:
            chars.append(Char(character, box, look.size, look.bold))
    return chars, hidden


def _look(handle: raw.FPDF_TEXTPAGE, index: int, owner: raw.FPDF_PAGEOBJECT) -> _Look:
    matrix = raw.FS_MATRIX()
    raw.FPDFText_GetMatrix(handle, index, ctypes.byref(matrix))
    scale = math.hypot(matrix.c, matrix.d)
    size = raw.FPDFText_GetFontSize(handle, index) * (scale or 1)
    mode = raw.FPDFTextObj_GetTextRenderMode(owner)
    color = _color(raw.FPDFText_GetFillColor, handle, index)
    bold = raw.FPDFText_GetFontWeight(handle, index) >= _BOLD_WEIGHT or mode == raw.FPDF_TEXTRENDERMODE_FILL_STROKE
    invisible = mode in (raw.FPDF_TEXTRENDERMODE_INVISIBLE, raw.FPDF_TEXTRENDERMODE_CLIP)
    fills = mode == raw.FPDF_TEXTRENDERMODE_FILL and color is not None
    clear = fills and color is not None and color[3] == 0
    white = fills and color is not None and min(color[:3]) >= _WHITE
    return _Look(size, bold, invisible or clear, white)


def _color(getter: Callable[..., int], *arguments: object) -> tuple[int, int, int, int] | None:
    channels = [ctypes.c_uint() for _ in range(4)]
    if not getter(*arguments, *(ctypes.byref(channel) for channel in channels)):
        return None
    red, green, blue, alpha = (channel.value for channel in channels)
    return red, green, blue, alpha


def _page_objects(page: pdfium.PdfPage) -> Iterator[raw.FPDF_PAGEOBJECT]:
    for index in range(min(raw.FPDFPage_CountObjects(page.raw), _MAX_OBJECTS)):
        yield raw.FPDFPage_GetObject(page.raw, index)


def _form_objects(form: raw.FPDF_PAGEOBJECT) -> Iterator[raw.FPDF_PAGEOBJECT]:
    for index in range(min(raw.FPDFFormObj_CountObjects(form), _MAX_OBJECTS)):
        yield raw.FPDFFormObj_GetObject(form, index)


def _collect(
    drawing: Drawing,
    place: Callable[[float, float], tuple[float, float]],
    objects: Iterator[raw.FPDF_PAGEOBJECT],
    outer: Matrix,
    depth: int,
) -> None:
    for item in objects:
        if drawing.paths > _MAX_OBJECTS:
            return
        kind = raw.FPDFPageObj_GetType(item)
        if kind == raw.FPDF_PAGEOBJ_FORM and depth < _MAX_DEPTH:
            _collect(drawing, place, _form_objects(item), _times(_matrix(item), outer), depth + 1)
        elif kind == raw.FPDF_PAGEOBJ_PATH:
            drawing.paths += 1
            _path(drawing, place, item, outer)
        elif kind == raw.FPDF_PAGEOBJ_IMAGE:
            drawing.pictures.append(_bounds(item, place, outer))


def _path(
    drawing: Drawing,
    place: Callable[[float, float], tuple[float, float]],
    path: raw.FPDF_PAGEOBJECT,
    outer: Matrix,
) -> None:
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    raw.FPDFPath_GetDrawMode(path, ctypes.byref(fill), ctypes.byref(stroke))
    if not fill.value and not stroke.value:
        return
    matrix = _times(_matrix(path), outer)
    x, y = ctypes.c_float(), ctypes.c_float()
    start = last = None
    for index in range(raw.FPDFPath_CountSegments(path)):
        segment = raw.FPDFPath_GetPathSegment(path, index)
        raw.FPDFPathSegment_GetPoint(segment, ctypes.byref(x), ctypes.byref(y))
        point = place(*_apply(matrix, x.value, y.value))
        kind = raw.FPDFPathSegment_GetType(segment)
        if kind == raw.FPDF_SEGMENT_MOVETO:
            start = point
        elif kind == raw.FPDF_SEGMENT_LINETO and last is not None:
            _edge(drawing, last, point)
        if start is not None and raw.FPDFPathSegment_GetClose(segment):
            _edge(drawing, point, start)
        last = point


def _edge(drawing: Drawing, a: tuple[float, float], b: tuple[float, float]) -> None:
    x0, top, x1, bottom = _between(a, b)
    if x1 - x0 <= _STRAIGHT and bottom - top >= _MIN_EDGE:
        drawing.edges.append((x0, top, x0, bottom))
    elif bottom - top <= _STRAIGHT and x1 - x0 >= _MIN_EDGE:
        drawing.edges.append((x0, top, x1, top))


def _bounds(item: raw.FPDF_PAGEOBJECT, place: Callable[[float, float], tuple[float, float]], outer: Matrix) -> Box:
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    raw.FPDFPageObj_GetBounds(item, *(ctypes.byref(edge) for edge in (left, bottom, right, top)))
    corners = [(x.value, y.value) for x in (left, right) for y in (bottom, top)]
    return _box([place(*_apply(outer, x, y)) for x, y in corners])


def _matrix(item: raw.FPDF_PAGEOBJECT) -> Matrix:
    matrix = raw.FS_MATRIX()
    if not raw.FPDFPageObj_GetMatrix(item, ctypes.byref(matrix)):
        return _IDENTITY
    return matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f


def _times(inner: Matrix, outer: Matrix) -> Matrix:
    a, b, c, d, e, f = inner
    oa, ob, oc, od, oe, of = outer
    return (
        a * oa + b * oc,
        a * ob + b * od,
        c * oa + d * oc,
        c * ob + d * od,
        e * oa + f * oc + oe,
        e * ob + f * od + of,
    )


def _apply(matrix: Matrix, x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f
