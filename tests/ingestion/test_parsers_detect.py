"""What a file is taken for."""

from __future__ import annotations

import io
import zipfile

import pytest
from parsing import parse_bytes, refusal

from llmflow.schema import FailureReason

JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(100)


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "name", "reason", "remedy"),
    [
        (JPEG, "scan.pdf", FailureReason.TYPE_MISMATCH, "image/jpeg"),
        (zipped(a=b"x"), "a.docx", FailureReason.TYPE_MISMATCH, "zip archive"),
        (b"%PDF-1.4 ...", "a.txt", FailureReason.TYPE_MISMATCH, "application/pdf"),
        (b"<html><body>x</body></html>", "a.xls", FailureReason.TYPE_MISMATCH, "text/"),
        (zipped(a=b"x"), "a.zip", FailureReason.UNSUPPORTED_TYPE, "unpack"),
        (zipped(mimetype=b"application/vnd.oasis.opendocument.text"), "a.odt", FailureReason.UNSUPPORTED_TYPE, "DOCX"),
        (b"{\\rtf1 hello}", "a.rtf", FailureReason.UNSUPPORTED_TYPE, "DOCX"),
        (b"MZ\x90\0\3\0\0\0" + bytes(50), "setup.exe", FailureReason.UNSUPPORTED_TYPE, "program"),
        (bytes(range(256)) * 4, "data.bin", FailureReason.UNSUPPORTED_TYPE, "supported are"),
        (b"HWP Document File V3.00 \x1a\1\2\3\4\5" + bytes(200), "a.hwp", FailureReason.UNSUPPORTED_TYPE, "HWPX"),
        (b"HWP Document File V3.00 \x1a\1\2\3\4\5" + b"\1" * 200, "a.hwp", FailureReason.ENCRYPTED, "password"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "a.doc", FailureReason.MALFORMED, "save"),
        (b"PK\x03\x04 broken", "a.docx", FailureReason.MALFORMED, "save"),
        (b"", "a.pdf", FailureReason.EMPTY, "0 bytes"),
    ],
)
def test_refused(data: bytes, name: str, reason: FailureReason, remedy: str) -> None:
    error = refusal(data, name)
    assert error.reason == reason
    assert remedy in error.message


def test_content_decides_where_the_extension_is_unknown() -> None:
    assert parse_bytes(b"<!DOCTYPE html><p>hello</p>", "page").mime_type == "text/html"
    assert parse_bytes("메모".encode(), "노트.memo").mime_type == "text/plain"
