"""Objects in a bucket of any server that speaks the S3 API."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import certifi
import urllib3
from minio import Minio
from minio.error import MinioException, S3Error
from minio.helpers import check_bucket_name

from llmflow.errors import ConfigurationError, LLMFlowError, UpstreamError
from llmflow.schema import Scope
from llmflow.settings import S3Settings
from llmflow.stores.objects.keys import absent, located, tenant_folder
from llmflow.stores.objects.measured import measured
from llmflow.stores.objects.protocol import StoredObject

_CONNECT_S, _READ_S = 3.0, 30.0
_RETRIES = urllib3.Retry(total=2, read=1, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504))
_PART = 5 << 20  # the least S3 allows for all parts but the last
_BUFFER = 64 << 10
_NO_OBJECT = ("NoSuchKey", "NoSuchVersion")
_EXISTS = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")
_REFUSED = (
    "AccessDenied",
    "AllAccessDisabled",
    "AuthorizationHeaderMalformed",
    "BadRequest",
    "InvalidAccessKeyId",
    "PermanentRedirect",
    "SignatureDoesNotMatch",
)


class S3ObjectStore:
    """An :class:`ObjectStore` in a bucket: ``TENANT/KEY``.

    The bucket is made at first use if it is absent. What a killed process had uploaded in parts
    is no object and never listed, but takes room until the bucket's lifecycle rule
    ``AbortIncompleteMultipartUpload`` removes it.

    Args:
        settings: the server, bucket and credentials.

    Raises:
        ConfigurationError: the endpoint or the bucket is malformed.
    """

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._bucket = settings.bucket
        self._bucket_is_there = False
        connections = urllib3.PoolManager(
            maxsize=16,
            timeout=urllib3.Timeout(connect=_CONNECT_S, read=_READ_S),
            retries=_RETRIES,
            cert_reqs="CERT_REQUIRED",
            ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
        )
        try:
            check_bucket_name(settings.bucket, strict=True)
        except ValueError as error:
            raise ConfigurationError(
                f"{error}; it must have 3 to 63 lower-case letters, digits, '.' and '-'", param="objects.s3.bucket"
            ) from None
        try:
            self._client = Minio(
                settings.endpoint,
                access_key=settings.access_key,
                secret_key=settings.secret_key.get_secret_value(),
                secure=settings.secure,
                region=settings.region,
                http_client=connections,
            )
        except ValueError as error:
            raise ConfigurationError(
                f"cannot use the S3 endpoint {settings.endpoint!r}: {error}; write HOST:PORT, without http:// "
                "or a path, and set objects.s3.secure to false for plain HTTP",
                param="objects.s3.endpoint",
            ) from None

    def put(self, scope: Scope, key: str, content: Path | bytes | BinaryIO) -> StoredObject:
        """See :meth:`ObjectStore.put`. Streams through some 20 MiB of memory."""
        name = located(scope, key)
        with measured(content) as source, self._calls(key):
            self._make_bucket()
            self._client.put_object(self._bucket, name, source, length=-1, part_size=_PART, num_parallel_uploads=1)
        return source.stored(key)

    def open(self, scope: Scope, key: str) -> BinaryIO:
        """See :meth:`ObjectStore.open`. A connection that breaks midway raises UpstreamError from ``read``."""
        name = located(scope, key)
        with self._calls(key):
            self._make_bucket()
            response = self._client.get_object(self._bucket, name)
        return io.BufferedReader(_Stream(response, partial(self._calls, key)), _BUFFER)

    def exists(self, scope: Scope, key: str) -> bool:
        """See :meth:`ObjectStore.exists`."""
        name = located(scope, key)
        with self._calls(key):
            self._make_bucket()
            return self._has(name)

    def delete(self, scope: Scope, key: str) -> bool:
        """See :meth:`ObjectStore.delete`. Of two deletes at once, both may say True."""
        name = located(scope, key)
        with self._calls(key):
            self._make_bucket()
            if not self._has(name):
                return False
            self._client.remove_object(self._bucket, name)
            return True

    def keys(self, scope: Scope, folder: str = "") -> Iterator[str]:
        """See :meth:`ObjectStore.keys`. Asks for 1,000 at a time."""
        tenant = tenant_folder(scope)
        start = located(scope, folder) if folder else tenant
        with self._calls(folder):
            self._make_bucket()
            for found in self._client.list_objects(self._bucket, prefix=f"{start}/", recursive=True):
                yield found.object_name.removeprefix(f"{tenant}/")

    def ping(self) -> None:
        """See :meth:`ObjectStore.ping`. Lists an empty folder: any web server could answer a HEAD request."""
        with self._calls(""):
            self._make_bucket()
            next(self._client.list_objects(self._bucket, prefix="ping/"), None)

    def _has(self, name: str) -> bool:
        try:
            self._client.stat_object(self._bucket, name)
        except MinioException as error:
            if _code(error) not in _NO_OBJECT:
                raise
            return False
        return True

    def _make_bucket(self) -> None:
        # At first use and not at the start: a server that is down must not keep LLMFlow from starting.
        if self._bucket_is_there:
            return
        if not self._client.bucket_exists(self._bucket):
            try:
                self._client.make_bucket(self._bucket)
            except MinioException as error:
                if _code(error) not in _EXISTS:  # another process was first
                    raise
        self._bucket_is_there = True

    @contextmanager
    def _calls(self, key: str) -> Iterator[None]:
        """Errors of the server as LLMFlow's."""
        try:
            yield
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._translated(error, key) from error

    def _translated(self, error: Exception, key: str) -> LLMFlowError:
        code = _code(error)
        if code in _NO_OBJECT:
            return absent(key)
        self._bucket_is_there = False
        where = f"{self._settings.endpoint!r}, bucket {self._bucket!r}"
        if code in _REFUSED:
            return ConfigurationError(
                f"the S3 server {where} refuses the access key {self._settings.access_key!r}: {code}; check "
                "access_key, secret_key and region, and that the key may read, write, delete and list there",
                param="objects.s3",
            )
        if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason:
            error = error.reason  # without the path, which names the tenant
        return UpstreamError(
            f"the S3 server {where} does not answer as it should: {code or str(error)[:200]}; check that it runs, "
            "that it can be reached, and whether it speaks HTTPS (objects.s3.secure)",
            param="objects.s3.endpoint",
        )


class _Stream(io.RawIOBase):
    """The body of a response, read from the connection as it is asked for."""

    def __init__(self, response: urllib3.BaseHTTPResponse, calls: Callable[[], AbstractContextManager[None]]) -> None:
        self._response = response
        self._calls = calls

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        with self._calls():
            block = self._response.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        if not self.closed:
            self._response.close()
            self._response.release_conn()
        super().close()


def _code(error: Exception) -> str | None:
    """The code of the API in an error; servers that send it as ``text/xml`` leave it to us to find."""
    if isinstance(error, S3Error):
        return str(error.code)
    found = re.search(r"<Code>(\w+)</Code>", str(error)) if isinstance(error, MinioException) else None
    return found and found[1]
