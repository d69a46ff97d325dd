"""What a file is, by its content, with the extension as a check."""

from __future__ import annotations

import io
import struct
import zipfile

import olefile  # type: ignore[import-untyped]

from llmflow.errors import DocumentError
from llmflow.ingestion.parsers.base import Source
from llmflow.ingestion.parsers.decoding import decode, looks_binary
from llmflow.schema import FailureReason

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
HWP = "application/x-hwp"
HWPX = "application/hwp+zip"
CSV = "text/csv"
HTML = "text/html"
MARKDOWN = "text/markdown"
TEXT = "text/plain"
EML = "message/rfc822"

_IMAGE_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"GIF8": "image/gif",
}
IMAGES = frozenset({*_IMAGE_MAGIC.values(), "image/bmp", "image/webp"})

_BY_EXTENSION: dict[str, frozenset[str]] = {
    "pdf": frozenset({PDF}),
    "docx": frozenset({DOCX}),
    "docm": frozenset({DOCX}),
    "dotx": frozenset({DOCX}),
    "doc": frozenset({DOCX}),
    "pptx": frozenset({PPTX}),
    "pptm": frozenset({PPTX}),
    "ppsx": frozenset({PPTX}),
    "ppt": frozenset({PPTX}),
    "xlsx": frozenset({XLSX}),
    "xlsm": frozenset({XLSX}),
    "xls": frozenset({XLSX}),
    "hwp": frozenset({HWP, HWPX}),
    "hwpx": frozenset({HWPX, HWP}),
    **dict.fromkeys(("png", "jpg", "jpeg", "tif", "tiff", "gif", "bmp", "webp"), IMAGES),
}
_TEXT_EXTENSIONS = {
    **dict.fromkeys(("md", "markdown"), MARKDOWN),
    **dict.fromkeys(("csv", "tsv"), CSV),
    **dict.fromkeys(("html", "htm", "xhtml"), HTML),
    "eml": EML,
    "txt": TEXT,
}
SUPPORTED = "PDF, DOCX, PPTX, XLSX, CSV, HTML, Markdown, text, EML, HWP, HWPX and images"

_OTHER_MAGIC = {
    b"{\\rtf": "an RTF document; save it as DOCX",
    b"\x1f\x8b": "a gzip archive; unpack it and add the files",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it and add the files",
    b"Rar!": "a RAR archive; unpack it and add the files",
    b"MZ": "a program",
    b"\x7fELF": "a program",
}
_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HWP3_MAGIC = b"HWP Document File V"
_HWP3_PASSWORD_AT = 30 + 96


def detect(source: Source) -> str:
    """The MIME type of a file that can be parsed.

    Raises:
        DocumentError: empty, too_large, encrypted, unsupported_type or type_mismatch.
    """
    if not source.data:
        raise source.error(FailureReason.EMPTY, "has no content (0 bytes)")
    found = _binary_type(source)
    expected = _BY_EXTENSION.get(source.extension)
    if found is None:
        if looks_binary(source.data):
            raise source.error(
                FailureReason.TYPE_MISMATCH if expected else FailureReason.UNSUPPORTED_TYPE,
                f"its content is of no known kind; supported are {SUPPORTED}",
            )
        found = _text_type(source)
    if (expected and found not in expected) or (source.extension in _TEXT_EXTENSIONS and not _is_text(found)):
        raise source.error(
            FailureReason.TYPE_MISMATCH,
            f"is named .{source.extension} but its content is {found}; give it the right extension or save it again",
        )
    return found


def _is_text(mime_type: str) -> bool:
    return mime_type.startswith("text/") or mime_type == EML


def _binary_type(source: Source) -> str | None:
    data = source.data
    if b"%PDF-" in data[:1024]:
        return PDF
    for magic, mime_type in _IMAGE_MAGIC.items():
        if data.startswith(magic):
            return mime_type
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[:2] == b"BM" and len(data) > 26 and looks_binary(data):
        return "image/bmp"
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _zip_type(source)
    if data.startswith(_OLE_MAGIC):
        return _ole_type(source)
    if data.startswith(_HWP3_MAGIC):
        if data[_HWP3_PASSWORD_AT : _HWP3_PASSWORD_AT + 2] != b"\0\0":
            raise source.error(FailureReason.ENCRYPTED, "is encrypted; save it as HWPX without a password")
        raise source.error(FailureReason.UNSUPPORTED_TYPE, "is an HWP 3 document; save it as HWPX")
    for magic, what in _OTHER_MAGIC.items():
        if data.startswith(magic) and (len(magic) > 2 or looks_binary(data)):
            raise source.error(FailureReason.UNSUPPORTED_TYPE, f"is {what}; supported are {SUPPORTED}")
    return None


def _zip_type(source: Source) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            names = set(archive.namelist())
            kind = archive.read("mimetype")[:200] if "mimetype" in names else b""
    except Exception as error:
        raise source.error(
            FailureReason.MALFORMED, f"the zip container is broken ({error}); save the document again"
        ) from None
    if "Contents/section0.xml" in names or kind.startswith(b"application/hwp"):
        return HWPX
    for member, mime_type in (("word/", DOCX), ("ppt/", PPTX), ("xl/", XLSX)):
        if any(name.startswith(member) for name in names) and "[Content_Types].xml" in names:
            if "xl/workbook.bin" in names:
                raise source.error(FailureReason.UNSUPPORTED_TYPE, "is a binary workbook (XLSB); save it as XLSX")
            return mime_type
    if kind.startswith(b"application/vnd.oasis"):
        raise source.error(FailureReason.UNSUPPORTED_TYPE, "is an OpenDocument file; save it as DOCX, XLSX or PPTX")
    if source.extension in _BY_EXTENSION:
        raise source.error(
            FailureReason.TYPE_MISMATCH,
            f"is named .{source.extension} but is a zip archive of other files; save the document again",
        )
    raise source.error(FailureReason.UNSUPPORTED_TYPE, "is a zip archive; unpack it and add the files")


def _ole_type(source: Source) -> str:
    try:
        with olefile.OleFileIO(io.BytesIO(source.data)) as ole:
            streams = {"/".join(path) for path in ole.listdir()}
            if "FileHeader" in streams:
                return HWP
            if "EncryptedPackage" in streams:
                raise source.error(FailureReason.ENCRYPTED, "is encrypted; save it without a password")
            for stream, kind, remedy, encrypted in (
                ("WordDocument", "a Word 97 document (DOC)", "DOCX", _doc_encrypted),
                ("Workbook", "an Excel 97 workbook (XLS)", "XLSX", _xls_encrypted),
                ("Book", "an Excel 95 workbook (XLS)", "XLSX", _xls_encrypted),
                ("PowerPoint Document", "a PowerPoint 97 presentation (PPT)", "PPTX", None),
                ("__properties_version1.0", "an Outlook message (MSG)", "EML", None),
            ):
                if stream not in streams:
                    continue
                if encrypted and encrypted(ole.openstream(stream).read(4096)):
                    raise source.error(
                        FailureReason.ENCRYPTED, f"is {kind} with a password; save it as {remedy} without a password"
                    )
                raise source.error(FailureReason.UNSUPPORTED_TYPE, f"is {kind}; save it as {remedy}")
    except DocumentError:
        raise
    except Exception as error:
        raise source.error(
            FailureReason.MALFORMED, f"the OLE container is broken ({error}); save the document again"
        ) from None
    raise source.error(FailureReason.UNSUPPORTED_TYPE, f"is an OLE file of no known kind; supported are {SUPPORTED}")


def _doc_encrypted(head: bytes) -> bool:
    # [MS-DOC] 2.5.1: FibBase.fEncrypted is bit 8 of the flags at offset 10.
    return len(head) > 11 and bool(head[11] & 1)


def _xls_encrypted(head: bytes) -> bool:
    # [MS-XLS] 2.4.117: a FilePass record (0x2F) follows the BOF record of an encrypted stream.
    at = 0
    for _ in range(8):
        if at + 4 > len(head):
            return False
        kind, size = struct.unpack_from("<HH", head, at)
        if kind == 0x2F:
            return True
        at += 4 + size
    return False


def _text_type(source: Source) -> str:
    if source.extension in _TEXT_EXTENSIONS:
        return _TEXT_EXTENSIONS[source.extension]
    head = decode(source.data[:4096])[0].lstrip().lower()
    if head.startswith(("<!doctype html", "<html")):
        return HTML
    return TEXT
