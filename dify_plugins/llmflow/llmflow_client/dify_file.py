"""A file of a flow, fetched from Dify."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, Any
from urllib.parse import SplitResult, unquote, urlsplit

import httpx
from dify_plugin.file.file import File

from llmflow_client.errors import InvokeBadRequestError, InvokeConnectionError
from llmflow_client.server import TLS, Server

_BLOCK = 1 << 16
_MOST_MB = 200
"""Of a file, which lies on the disk that all users share."""
_PREVIEWS = ("file-preview", "image-preview")
"""How the path of a file ends that Dify serves under its number."""
_TIMEOUT = httpx.Timeout(None, connect=10)
"""The run as a whole has its own."""


def one_file(value: Any, server: Server) -> File:
    """The file that was given, also as a list of one."""
    if isinstance(value, list) and len(value) > 1:
        raise InvokeBadRequestError(server.credentials.say("several_files", count=len(value)))
    file = value[0] if isinstance(value, list) and value else value
    if not isinstance(file, File):
        raise InvokeBadRequestError(server.credentials.say("not_a_file"))
    return file


def name_of(file: File) -> str:
    """The file's name, from its address where Dify gives none."""
    path = PurePosixPath(unquote(_parts(file.url).path))
    name = file.filename or (path.parent if path.name in _PREVIEWS else path).name or "document"
    if file.extension and not PurePosixPath(name).suffix:
        name += f".{file.extension.lstrip('.')}"
    return name


@contextmanager
def fetched(file: File, server: Server) -> Iterator[IO[bytes]]:
    """The file's content, on the disk as long as it is needed.

    Raises:
        InvokeBadRequestError: Dify gives no address that can be called, no content there, too much, or that of
            another host.
        InvokeConnectionError: nobody answers there, or not within the server's time.
    """
    say = server.credentials.say
    name, host = name_of(file), _parts(file.url).netloc.rpartition("@")[2]
    if not file.url.startswith(("http://", "https://")) or not host:
        raise InvokeBadRequestError(say("file_without_host", file=name, url=file.url[:120]))
    late = InvokeConnectionError(say("file_late", file=name, seconds=server.credentials.timeout_s))

    def stay(request: httpx.Request) -> None:
        if request.url.host != home:
            raise InvokeBadRequestError(say("file_elsewhere", file=name, host=request.url.host))

    with tempfile.TemporaryFile() as content:
        try:
            home = httpx.URL(file.url).host
            with (
                server.in_time(late),
                httpx.Client(verify=TLS, timeout=_TIMEOUT, event_hooks={"request": [stay]}) as client,
                client.stream("GET", file.url, follow_redirects=True) as response,
            ):
                if response.status_code != 200:
                    raise InvokeBadRequestError(say("file_refused", file=name, status=response.status_code))
                for block in response.iter_bytes(_BLOCK):
                    content.write(block)
                    if content.tell() > _MOST_MB * 1_000_000:
                        raise InvokeBadRequestError(say("file_too_large", file=name, most=_MOST_MB))
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError):
            raise InvokeConnectionError(say("file_unreachable", file=name, host=host)) from None
        content.seek(0)
        yield content


def _parts(address: str) -> SplitResult:
    """The parts of an address, all empty where it is none."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")
