"""Documents by URL: downloads, and whether something changed since the last."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpcore
import httpx

from llmflow.errors import DeadlineError, DocumentError, InvalidInputError, UpstreamError
from llmflow.ingestion.guarding import Deadline, call, check_url, shown
from llmflow.ingestion.naming import name_of
from llmflow.schema import FailureReason
from llmflow.settings import FetchSettings

_REDIRECTS = 5
_REDIRECTED = frozenset({301, 302, 303, 307, 308})
_PAUSES_S = (0.5, 2.0)
_BLOCK = 1 << 16
_MIME_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,100}/[a-z0-9][a-z0-9!#$&^_.+-]{0,100}")
_UNKNOWN_TYPE = "application/octet-stream"
_ADVICE = {
    401: "it asks for a login; give a link that works without one, or upload the file",
    403: "it refuses access; give a link that works without a login, or upload the file",
    404: "there is nothing; check the link",
    410: "it is gone; check the link",
}


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a download says of itself."""

    name: str
    mime_type: str
    etag: str | None


def fetch(url: str, target: Path, settings: FetchSettings, max_mb: int) -> Fetched:
    """Write the document at ``url`` to ``target``.

    A server that fails, cannot be reached or asks to come back is tried three times, within
    ``settings.timeout_s`` altogether.

    Args:
        max_mb: most MiB the document may have, unpacked.

    Raises:
        DocumentError: the URL is not allowed, does not answer, has no document or one too large.
    """
    deadline = Deadline(settings.timeout_s)
    name = _safely_shown(url)
    try:
        for pause_s in _PAUSES_S:
            try:
                return _download(url, target, settings, max_mb, deadline)
            except UpstreamError:
                time.sleep(deadline.left(pause_s))
        return _download(url, target, settings, max_mb, deadline)
    except InvalidInputError as error:
        raise DocumentError(FailureReason.INTERNAL, f"{name}: {error.message}", param="url") from None
    except DeadlineError:
        message = f"{name}: the download took longer than {settings.timeout_s:g} s; try again later, or upload the file"
        raise DocumentError(FailureReason.TIMEOUT, message, param="url") from None
    except UpstreamError as error:
        message = (
            f"{error.message}; tried {len(_PAUSES_S) + 1} times; check the link, try again later, or upload the file"
        )
        raise DocumentError(FailureReason.INTERNAL, message, param="url") from error


def head(url: str, settings: FetchSettings) -> str | None:
    """What tells a change of the document at ``url`` without reading it; None where the server says nothing.

    Raises:
        InvalidInputError: the URL is not allowed.
        DeadlineError, UpstreamError: the server does not answer.
    """
    with _followed("HEAD", url, settings, Deadline(settings.timeout_s)) as (response, _):
        if response.status != 200:
            return None
        headers = _headers(response)
    if "etag" in headers:
        return f"etag {_ascii(headers['etag'])}"
    if "last-modified" in headers:
        return f"modified {_ascii(headers['last-modified'])} length {_ascii(headers.get('content-length', b'?'))}"
    return None


def post(url: str, body: bytes, headers: Mapping[str, str], settings: FetchSettings, timeout_s: float) -> int:
    """Send ``body`` to ``url``; the status of the answer. Redirects are not followed, answers not read.

    Raises:
        InvalidInputError: the URL is not allowed.
        DeadlineError, UpstreamError: the server does not answer.
    """
    with call("POST", check_url(url, settings), settings, Deadline(timeout_s), headers, body) as response:
        return response.status


def _download(url: str, target: Path, settings: FetchSettings, max_mb: int, deadline: Deadline) -> Fetched:
    with _followed("GET", url, settings, deadline) as (response, at):
        _check_status(response, at)
        headers = _headers(response)
        if int(_ascii(headers.get("content-length", b"0"))) > max_mb << 20:
            raise _too_large(at, max_mb)
        size = 0
        with target.open("wb") as file:
            for part in _decoded(response.iter_stream(), _ascii(headers.get("content-encoding", b"")), at):
                size += len(part)
                if size > max_mb << 20:
                    raise _too_large(at, max_mb)
                file.write(part)
        declared = _ascii(headers.get("content-type", b"")).split(";")[0].strip().lower()
        mime_type = declared if _MIME_TYPE.fullmatch(declared) else _UNKNOWN_TYPE
        name = name_of(at.path, headers.get("content-disposition", b""), mime_type)
        return Fetched(name, mime_type, _ascii(headers["etag"]) if "etag" in headers else None)


@contextmanager
def _followed(
    method: str, url: str, settings: FetchSettings, deadline: Deadline
) -> Iterator[tuple[httpcore.Response, httpx.URL]]:
    """The response at the end of the redirects, and its URL; each URL on the way is checked."""
    at = check_url(url, settings)
    for _ in range(_REDIRECTS + 1):
        with call(method, at, settings, deadline) as response:
            location = _headers(response).get("location")
            if response.status not in _REDIRECTED or location is None:
                yield response, at
                return
        try:
            at = at.join(location.decode("utf-8", "replace"))
        except (httpx.InvalidURL, ValueError) as error:
            raise InvalidInputError(f"it redirects to what is no URL ({error})", param="url") from None
        check_url(str(at), settings)
    raise InvalidInputError(f"it redirects more than {_REDIRECTS} times; give the link it leads to", param="url")


def _check_status(response: httpcore.Response, at: httpx.URL) -> None:
    status = response.status
    if status == 200:
        return
    if status >= 500 or status in (408, 429):
        raise UpstreamError(f"{shown(at)}: the server answers with status {status}", param="url")
    advice = _ADVICE.get(status, "give a link that downloads the document, or upload the file")
    raise DocumentError(
        FailureReason.INTERNAL, f"{shown(at)}: the server answers with status {status}: {advice}", param="url"
    )


def _decoded(parts: Iterable[bytes], encoding: str, at: httpx.URL) -> Iterator[bytes]:
    """The body unpacked, in small pieces whatever it unpacks to.

    It was asked for plain, but not every server heeds that.
    """
    if encoding.lower() in ("", "identity"):
        yield from parts
        return
    if encoding.lower() not in ("gzip", "x-gzip", "deflate"):
        message = f"{shown(at)}: is sent with the encoding {encoding!r}; allowed are none, gzip and deflate"
        raise DocumentError(FailureReason.UNSUPPORTED_TYPE, message, param="url")
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)  # either header
    try:
        for part in parts:
            packed = part
            while packed:
                if decoder.eof:
                    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)  # a gzip file may be several, one after the other
                yield decoder.decompress(packed, _BLOCK)
                packed = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
        yield decoder.flush()
    except zlib.error as error:
        message = f"{shown(at)}: is sent as {encoding} but cannot be unpacked ({error}); upload the file"
        raise DocumentError(FailureReason.MALFORMED, message, param="url") from None
    if not decoder.eof:
        message = f"{shown(at)}: ends before its {encoding} data do; try again, or upload the file"
        raise DocumentError(FailureReason.MALFORMED, message, param="url")


def _headers(response: httpcore.Response) -> dict[str, bytes]:
    return {_ascii(name).lower(): value for name, value in response.headers}


def _ascii(value: bytes) -> str:
    return value.decode("ascii", "replace")


def _too_large(at: httpx.URL, max_mb: int) -> DocumentError:
    return DocumentError(
        FailureReason.TOO_LARGE,
        f"{shown(at)}: has more than {max_mb} MiB, the most allowed; split the document",
        param="url",
    )


def _safely_shown(url: str) -> str:
    try:
        return shown(url)
    except (httpx.InvalidURL, ValueError):
        return repr(url[:200])
