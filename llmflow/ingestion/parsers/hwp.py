"""HWP 5 documents (the binary format of Hangul), after Hancom's published specification 5.0 revision 1.3."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import olefile  # type: ignore[import-untyped]

from llmflow.ingestion.parsers.base import Content, Source
from llmflow.ingestion.parsers.tables import Grid
from llmflow.schema import Element, ElementType, FailureReason

_SIGNATURE = b"HWP Document File"
_COMPRESSED, _PASSWORD, _DISTRIBUTION, _DRM = 1, 2, 4, 16
_STYLE, _PARA_HEADER, _PARA_TEXT, _CTRL_HEADER, _LIST_HEADER, _TABLE_RECORD = 0x1A, 0x42, 0x43, 0x47, 0x48, 0x4D
_OUTLINE_STYLE = re.compile(r"^(?:개요|Outline)\s*(\d+)$", re.I)
_SKIPPED = frozenset({"head", "foot", "tcmt"})
_TABLE = "tbl "
# Control characters that stand alone; the others take eight code units.
_SINGLE = {0: "", 10: "\n", 13: "", 24: "-", 30: " ", 31: " "}
_TAB, _UNIT = 9, 8
_MAX_DEPTH = 200


@dataclass(slots=True)
class _Record:
    """A tagged record and the records one level below that follow it."""

    tag: int
    payload: bytes
    children: list[_Record] = field(default_factory=list)


def parse(source: Source) -> Content:
    """Paragraphs, tables, text boxes and notes in document order; page headers and footers are left out.

    Raises:
        DocumentError: encrypted, malformed or too_large.
    """
    try:
        with olefile.OleFileIO(io.BytesIO(source.data)) as ole:
            return _read(ole, source)
    except (OSError, struct.error, zlib.error, IndexError) as error:
        raise source.error(
            FailureReason.MALFORMED, f"its structure is broken ({error}); save it again, best as HWPX"
        ) from None


def _read(ole: olefile.OleFileIO, source: Source) -> Content:
    header = ole.openstream("FileHeader").read()
    if not header.startswith(_SIGNATURE) or len(header) < 40:
        raise source.error(FailureReason.MALFORMED, "its file header is broken; save it again, best as HWPX")
    (flags,) = struct.unpack_from("<I", header, 36)
    if flags & (_PASSWORD | _DRM):
        raise source.error(FailureReason.ENCRYPTED, "is encrypted; save it without a password")
    if flags & _DISTRIBUTION:
        raise source.error(
            FailureReason.ENCRYPTED, "is a distribution document (배포용 문서); save it as an ordinary HWPX document"
        )
    budget = _Budget(source)

    def stream(name: str) -> bytes:
        data = ole.openstream(name).read()
        return budget.inflate(data) if flags & _COMPRESSED else data

    reader = _Reader(_outline(stream("DocInfo")))
    content = Content()
    sections = [path[1] for path in ole.listdir() if path[0] == "BodyText" and path[1].startswith("Section")]
    for name in sorted(sections, key=lambda section: int(section.removeprefix("Section") or 0)):
        content.elements += reader.blocks(_tree(stream(f"BodyText/{name}")).children)
    return content


class _Budget:
    """Unpacks streams until their sum passes the limit."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = source.settings.max_unpacked_mb * 1024 * 1024

    def inflate(self, data: bytes) -> bytes:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        unpacked = unpacker.decompress(data, self._left)
        self._left -= len(unpacked)
        if unpacker.unconsumed_tail or not self._left:
            raise self._source.error(
                FailureReason.TOO_LARGE,
                f"unpacks to more than {self._source.settings.max_unpacked_mb} MiB (parsing.max_unpacked_mb); split it",
            )
        return unpacked


def _records(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        (head,) = struct.unpack_from("<I", data, at)
        at += 4
        tag, level, size = head & 0x3FF, head >> 10 & 0x3FF, head >> 20
        if size == 0xFFF:
            (size,) = struct.unpack_from("<I", data, at)
            at += 4
        yield tag, level, data[at : at + size]
        at += size


def _tree(data: bytes) -> _Record:
    root = _Record(0, b"")
    open_records = [root]
    for tag, level, payload in _records(data):
        record = _Record(tag, payload)
        del open_records[min(level, _MAX_DEPTH) + 1 :]
        open_records[-1].children.append(record)
        open_records.append(record)
    return root


def _outline(info: bytes) -> dict[int, int]:
    """Style number -> heading level."""
    levels: dict[int, int] = {}
    styles = [payload for tag, _, payload in _records(info) if tag == _STYLE]
    for number, payload in enumerate(styles):
        (length,) = struct.unpack_from("<H", payload)
        match = _OUTLINE_STYLE.match(payload[2 : 2 + 2 * length].decode("utf-16-le", "replace"))
        if match:
            levels[number] = int(match[1])
    return levels


class _Reader:
    def __init__(self, outline: dict[int, int]) -> None:
        self._outline = outline

    def blocks(self, records: list[_Record]) -> list[Element]:
        """Elements of the paragraphs among ``records``."""
        return [element for record in records if record.tag == _PARA_HEADER for element in self._paragraph(record)]

    def _paragraph(self, paragraph: _Record) -> list[Element]:
        text = "".join(_text(record.payload) for record in paragraph.children if record.tag == _PARA_TEXT).strip()
        style = paragraph.payload[10] if len(paragraph.payload) > 10 else -1
        level = self._outline.get(style)
        kind = ElementType.TITLE if level else ElementType.NARRATIVE_TEXT
        found = [Element(kind, text, level=level)] if text else []
        for control in paragraph.children:
            if control.tag == _CTRL_HEADER:
                found += self._control(control)
        return found

    def _control(self, control: _Record) -> list[Element]:
        kind = control.payload[3::-1].decode("latin-1")
        if kind in _SKIPPED:
            return []
        return self._table(control) if kind == _TABLE else self._inside(control)

    def _inside(self, record: _Record) -> list[Element]:
        """Paragraphs of text boxes, notes and captions anywhere below ``record``."""
        found: list[Element] = []
        for child in record.children:
            if child.tag == _PARA_HEADER:
                found += self._paragraph(child)
            elif child.tag == _CTRL_HEADER:
                found += self._control(child)
            else:
                found += self._inside(child)
        return found

    def _table(self, control: _Record) -> list[Element]:
        # A cell is a list header (column, row and spans at offset 8) and the paragraphs after
        # it, on the same level. A list header before the table record is the caption.
        grid = Grid()
        outside: list[Element] = []
        cells: list[tuple[tuple[int, int, int, int], list[str]]] = []
        in_table = False
        for record in control.children:
            if record.tag == _TABLE_RECORD:
                in_table = True
            elif record.tag == _LIST_HEADER and in_table:
                cells.append((struct.unpack_from("<HHHH", record.payload, 8), []))
            elif record.tag == _PARA_HEADER:
                for element in self._paragraph(record):
                    if cells and element.type is not ElementType.TABLE:
                        cells[-1][1].append(element.text)
                    else:
                        outside.append(element)
        for (column, row, columns, rows), texts in cells:
            grid.place(row, column, "\n".join(texts), rows, columns)
        return [*grid.elements(), *outside]


def _text(payload: bytes) -> str:
    units = struct.unpack(f"<{len(payload) // 2}H", payload[: len(payload) // 2 * 2])
    parts: list[bytes] = []
    at = 0
    while at < len(units):
        unit = units[at]
        if unit >= 32:
            parts.append(struct.pack("<H", unit))
            at += 1
        elif unit in _SINGLE or 25 <= unit <= 29:
            parts.append(_SINGLE.get(unit, "").encode("utf-16-le"))
            at += 1
        else:
            parts.append(b"\t\0" if unit == _TAB else b"")
            at += _UNIT
    return b"".join(parts).decode("utf-16-le", "replace")
