"""Zip archives whose bytes follow from their content alone."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from dify_plugins.tooling.packaging.errors import PackagingError

_EARLIEST = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_REGULAR_FILE = 0o100644
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Archive:
    """Files by path, and the comment that a zip archive ends with.

    Raises:
        PackagingError: for a path that leads out of the folder the archive is unpacked in.
    """

    files: Mapping[str, bytes]
    comment: bytes = b""

    def __post_init__(self) -> None:
        for path in self.files:
            _require_inside(path)

    @classmethod
    def read(cls, data: bytes, limit: int) -> Archive:
        """The archive in ``data``.

        Args:
            limit: bytes that the files may have together.

        Raises:
            PackagingError: when it is damaged, too large, or says a path twice.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as zipped:
                infos = zipped.infolist()
                _require_size({info.filename: info.file_size for info in infos}, limit)
                files = {info.filename: zipped.read(info) for info in infos}
                if len(files) < len(infos):
                    raise PackagingError("the archive has two files of one path; pack it again")
                return cls(files, zipped.comment)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, zlib.error) as error:
            raise PackagingError(f"this is no archive that can be read: {error}; pack it again") from error

    def to_bytes(self, limit: int) -> bytes:
        """The archive, sorted by path, uncompressed.

        Args:
            limit: bytes that the archive may have.

        Raises:
            PackagingError: when it has more; names the largest files.
        """
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as zipped:
            zipped.comment = self.comment
            for path, content in sorted(self.files.items()):
                info = zipfile.ZipInfo(path, _EARLIEST)
                info.create_system = _UNIX
                info.external_attr = _REGULAR_FILE << 16
                zipped.writestr(info, content)
        data = buffer.getvalue()
        if len(data) > limit:
            _require_size({path: len(content) for path, content in self.files.items()}, limit, len(data))
        return data


def _require_inside(path: str) -> None:
    parts = path.split("/")
    if "\\" in path or ":" in parts[0] or not path.isprintable() or {"", ".", ".."} & set(parts):
        raise PackagingError(
            f"the path {path!r} cannot be in a package; allowed are printable names joined by /, "
            "without an absolute path, '.', '..', ':' or '\\'; rename it"
        )


def _require_size(sizes: Mapping[str, int], limit: int, size: int | None = None) -> None:
    total = sum(sizes.values()) if size is None else size
    if total > limit:
        largest = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
        raise PackagingError(
            f"the package has {total:,} bytes, Dify takes {limit:,}; leave out some of the largest files: "
            + ", ".join(f"{path} ({size:,} bytes)" for path, size in largest)
        )
