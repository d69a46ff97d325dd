"""Zip files whose bytes depend on nothing but their contents."""

from __future__ import annotations

import re
import zipfile
from datetime import datetime
from pathlib import Path

WRITTEN = datetime(2026, 9, 1)
"""The time every document says it was written."""

_MODIFIED = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*")


def write_zip(path: Path, members: dict[str, bytes], stored: tuple[str, ...] = ()) -> None:
    """Write ``members`` in order with one fixed time; the names in ``stored`` uncompressed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, WRITTEN.timetuple()[:6])
            info.create_system = 0
            info.compress_type = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(info, data)


def settle(path: Path) -> None:
    """Rewrite an Office file in place: fixed times, in the archive and in its core properties."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    core = "docProps/core.xml"
    members[core] = _MODIFIED.sub(rb"\g<1>" + f"{WRITTEN:%Y-%m-%dT%H:%M:%SZ}".encode(), members[core])
    write_zip(path, members)
