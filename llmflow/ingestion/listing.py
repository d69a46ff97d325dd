"""What there is to collect: in a folder, under an S3 prefix, at URLs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import certifi
import urllib3
from minio import Minio
from minio.error import MinioException

from llmflow.errors import DocumentError, UpstreamError
from llmflow.ingestion.fetch import fetch, head
from llmflow.ingestion.files import find_files
from llmflow.ingestion.naming import clean_name
from llmflow.schema import FailureReason
from llmflow.settings import FetchSettings, S3Settings

_log = logging.getLogger(__name__)


class Item(Protocol):
    """A document to be collected; ``source`` names it."""

    @property
    def source(self) -> str: ...

    def mark(self) -> str | None:
        """What tells a change without reading; None where only reading tells.

        Raises:
            LLMFlowError, OSError: it cannot be reached.
        """

    def bring(self, scratch: Path, max_mb: int) -> tuple[str, Path]:
        """Its name and the file it is, or was written to in ``scratch``.

        Raises:
            LLMFlowError, OSError: it cannot be reached or read, or is larger than ``max_mb`` MiB.
        """


@dataclass(frozen=True, slots=True)
class Listing:
    """Items; what was seen before and is not among them is gone where the listing is ``complete``."""

    items: tuple[Item, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class _File:
    path: Path

    @property
    def source(self) -> str:
        # As text that every store takes, also where the name is not Unicode.
        return os.fsencode(self.path).decode("utf-8", "backslashreplace")

    def mark(self) -> str:
        status = self.path.stat()
        return f"size {status.st_size} changed {status.st_mtime_ns}"

    def bring(self, scratch: Path, max_mb: int) -> tuple[str, Path]:
        _check_size(self.source, self.path.stat().st_size, max_mb)
        return Path(self.source).name, self.path


@dataclass(frozen=True, slots=True)
class _Object:
    client: Minio
    bucket: str
    key: str
    etag: str
    size: int

    @property
    def source(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def mark(self) -> str:
        return f"etag {self.etag} size {self.size}"

    def bring(self, scratch: Path, max_mb: int) -> tuple[str, Path]:
        _check_size(self.source, self.size, max_mb)
        target = scratch / "object"
        with _calls(self.source):
            self.client.fget_object(self.bucket, self.key, str(target))
        return clean_name(self.key) or "object", target


@dataclass(frozen=True, slots=True)
class _Address:
    source: str
    settings: FetchSettings

    def mark(self) -> str | None:
        return head(self.source, self.settings)

    def bring(self, scratch: Path, max_mb: int) -> tuple[str, Path]:
        target = scratch / "download"
        return fetch(self.source, target, self.settings, max_mb).name, target


def list_folder(folder: Path) -> Listing:
    """The files of a folder and all below it; links that lead out of it are left out.

    Raises:
        InvalidInputError: there is no such folder.
    """
    root = Path(os.path.realpath(folder))
    found = find_files([folder])
    unlisted = [path for path in found if path.is_dir()]
    outside = [path for path in found if not path.is_relative_to(root)]
    for paths, problem in ((unlisted, "cannot be listed"), (outside, f"lies outside {root}, where a link leads to it")):
        for path in paths:
            _log.warning("%s %s; left out", path, problem)
    left_out = {*unlisted, *outside}
    return Listing(tuple(_File(path) for path in found if path not in left_out), complete=not unlisted)


def list_prefix(settings: S3Settings, bucket: str, prefix: str) -> Listing:
    """The objects whose key starts with a prefix.

    Raises:
        UpstreamError: the server does not answer, or refuses.
    """
    client = _client(settings)
    with _calls(f"s3://{bucket}/{prefix}"):
        found = list(client.list_objects(bucket, prefix=prefix, recursive=True))
    items = tuple(
        _Object(client, bucket, each.object_name, each.etag or "", each.size or 0)
        for each in found
        if each.object_name and not each.is_dir and not each.object_name.endswith("/")
    )
    return Listing(items, complete=True)


def list_urls(urls: tuple[str, ...], settings: FetchSettings) -> Listing:
    """The URLs, as they are; one that does not answer or is named no more is not gone for that."""
    return Listing(tuple(_Address(url, settings) for url in dict.fromkeys(urls)), complete=False)


def _client(settings: S3Settings) -> Minio:
    connections = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=3.0, read=30.0),
        retries=urllib3.Retry(total=2, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504)),
        cert_reqs="CERT_REQUIRED",
        ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
    )
    return Minio(
        settings.endpoint,
        access_key=settings.access_key,
        secret_key=settings.secret_key.get_secret_value(),
        secure=settings.secure,
        region=settings.region,
        http_client=connections,
    )


@contextmanager
def _calls(name: str) -> Iterator[None]:
    try:
        yield
    except (MinioException, urllib3.exceptions.HTTPError) as error:
        raise UpstreamError(
            f"{name} cannot be read: {error}; check that the S3 server runs and that the key of objects.s3 may list "
            "and read there",
            param="objects.s3",
        ) from error


def _check_size(source: str, size: int, max_mb: int) -> None:
    if size > max_mb << 20:
        raise DocumentError(
            FailureReason.TOO_LARGE, f"{source}: has {size:,} bytes, more than the {max_mb} MiB of parsing.max_file_mb"
        )
