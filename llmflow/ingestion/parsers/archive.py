"""Zipped documents (OOXML, HWPX), opened only after bombs and entities are ruled out."""

from __future__ import annotations

import io
import re
import zipfile
import zlib

from llmflow.ingestion.parsers.base import Source
from llmflow.schema import FailureReason

_MAX_MEMBERS = 20_000
_BOMB_BYTES = 32 * 1024 * 1024
_BOMB_RATIO = 200
_HEAD = 1024 * 1024
_XML_SUFFIXES = (".xml", ".rels", ".hpf", ".rdf", ".vml", ".opf")
_PROLOG = re.compile(rb"(?:\s|<\?.*?\?>|<!--.*?-->)*", re.S)
_MANIFEST = "META-INF/manifest.xml"
_MIB = 1024 * 1024


def open_zip(source: Source) -> zipfile.ZipFile:
    """The archive, its sizes and XML parts checked.

    Reading a member never gives more than its declared size, so the declared sizes bound
    what unpacking takes.

    Raises:
        DocumentError: too_large, encrypted, external_entity or malformed.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(source.data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise source.error(
            FailureReason.MALFORMED, f"the zip container is broken ({error}); save the document again"
        ) from None
    _check_sizes(archive, source)
    if _MANIFEST in archive.namelist() and b"encryption-data" in archive.read(_MANIFEST):
        raise source.error(FailureReason.ENCRYPTED, "is encrypted; save it without a password")
    for member in archive.infolist():
        if member.filename.lower().endswith(_XML_SUFFIXES):
            _check_prolog(archive, member, source)
    return archive


def _check_sizes(archive: zipfile.ZipFile, source: Source) -> None:
    members = archive.infolist()
    total = sum(member.file_size for member in members)
    limit = source.settings.max_unpacked_mb
    if len(members) > _MAX_MEMBERS:
        raise source.error(
            FailureReason.TOO_LARGE, f"holds {len(members)} parts, allowed are {_MAX_MEMBERS}; split the document"
        )
    if total > limit * _MIB:
        raise source.error(
            FailureReason.TOO_LARGE,
            f"unpacks to {total // _MIB} MiB, allowed are {limit} (parsing.max_unpacked_mb); split the document",
        )
    for member in members:
        if member.flag_bits & 1:
            raise source.error(FailureReason.ENCRYPTED, "is encrypted; save it without a password")
        if member.file_size > _BOMB_BYTES and member.file_size > _BOMB_RATIO * max(member.compress_size, 1):
            raise source.error(
                FailureReason.TOO_LARGE,
                f"{member.filename} unpacks to {member.file_size // max(member.compress_size, 1)} times its size,"
                f" allowed are {_BOMB_RATIO}; this looks like a zip bomb",
            )


def _check_prolog(archive: zipfile.ZipFile, member: zipfile.ZipInfo, source: Source) -> None:
    try:
        with archive.open(member) as stream:
            head = stream.read(_HEAD)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise source.error(
            FailureReason.MALFORMED, f"part {member.filename} is broken ({error}); save the document again"
        ) from None
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in head[:64]:
        head = head.decode("utf-16", "replace").encode()
    head = head.removeprefix(b"\xef\xbb\xbf")
    prolog = _PROLOG.match(head)
    rest = head[prolog.end() if prolog else 0 :]
    if rest[:2] == b"<!":
        raise source.error(
            FailureReason.EXTERNAL_ENTITY,
            f"part {member.filename} declares a document type, which can pull in other files; save the document again",
        )
    if rest and not rest.startswith(b"<"):
        raise source.error(FailureReason.MALFORMED, f"part {member.filename} is no XML; save the document again")
