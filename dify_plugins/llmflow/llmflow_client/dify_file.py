"""A file of a flow, fetched from Dify."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, Any
from urllib.parse import unquote, urlsplit

import httpx
from dify_plugin.file.file import File

from llmflow_client.errors import InvokeBadRequestError, InvokeConnectionError
from llmflow_client.server import TLS, Server

_BLOCK = 1 << 16
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
    name = file.filename or PurePosixPath(unquote(urlsplit(file.url).path)).name or "document"
    if file.extension and not PurePosixPath(name).suffix:
        name += f".{file.extension.lstrip('.')}"
    return name


@contextmanager
def fetched(file: File, server: Server) -> Iterator[IO[bytes]]:
    """The file's content, on the disk as long as it is needed.

    Raises:
        InvokeBadRequestError: Dify gives no address that can be called, or no content there.
        InvokeConnectionError: nobody answers there, or not within the server's time.
    """
    say = server.credentials.say
    name, host = name_of(file), urlsplit(file.url).netloc
    if not file.url.startswith(("http://", "https://")) or not host:
        raise InvokeBadRequestError(say("file_without_host", file=name, url=file.url[:120]))
    late = InvokeConnectionError(say("file_late", file=name, seconds=server.credentials.timeout_s))
    with tempfile.TemporaryFile() as content:
        try:
            with (
                server.in_time(late),
                httpx.stream("GET", file.url, follow_redirects=True, verify=TLS, timeout=_TIMEOUT) as response,
            ):
                if response.status_code != 200:
                    raise InvokeBadRequestError(say("file_refused", file=name, status=response.status_code))
                for block in response.iter_bytes(_BLOCK):
                    content.write(block)
        except (httpx.HTTPError, httpx.InvalidURL):
            raise InvokeConnectionError(say("file_unreachable", file=name, host=host)) from None
        content.seek(0)
        yield content
