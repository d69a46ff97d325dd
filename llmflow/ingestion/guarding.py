"""Calls to URLs that users gave: only to public addresses, and never for longer than allowed.

A server that fetches what it is told can be told to fetch from inside its network (SSRF). Here a
host name is resolved once, every address of it is checked, and the connection goes to an address
that was checked, so that a name which changes its address meanwhile gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import httpcore
import httpx

from llmflow import __version__
from llmflow.errors import DeadlineError, InvalidInputError, UpstreamError
from llmflow.settings import FetchSettings

_CONNECT_S = 10.0
_USER_AGENT = f"llmflow/{__version__}"
_SocketOptions = Iterable[Any]
_NO_HOST = (socket.gaierror, UnicodeError)  # the latter for names DNS cannot have


class Deadline:
    """A point in time, ``seconds`` from now."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self, most: float | None = None) -> float:
        """Seconds left, ``most`` at most.

        Raises:
            DeadlineError: there are none.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise DeadlineError(f"not done within {self._seconds:g} s", param="fetch.timeout_s")
        return left if most is None else min(left, most)


def check_url(url: str, settings: FetchSettings) -> httpx.URL:
    """The parsed URL, where nothing forbids to call it that can be told without resolving its host.

    Raises:
        InvalidInputError: it is no http or https URL, has credentials in it, or a private address.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise InvalidInputError(
            f"{url[:200]!r} is no URL ({error}); give one like https://HOST/PATH", param="url"
        ) from None
    if parsed.scheme not in ("http", "https") or not parsed.host or "%" in parsed.host:
        raise InvalidInputError(
            f"{shown(parsed)!r} cannot be called; allowed are URLs that start with http:// or https://", param="url"
        )
    if parsed.userinfo:
        raise InvalidInputError(
            f"{shown(parsed)!r} has a user name or password in it; remove it, it would be stored and shown", param="url"
        )
    if not _is_named(parsed.host, _port(parsed), settings):
        if parsed.host == "localhost" or parsed.host.endswith(".localhost"):
            raise _refused(parsed.host)
        with suppress(*_NO_HOST):  # a name; it is resolved when it is called
            _resolved(parsed.host, _port(parsed), socket.AI_NUMERICHOST)
    return parsed


def shown(url: httpx.URL | str) -> str:
    """A URL without what may be secret: credentials, query and fragment."""
    return str(httpx.URL(url).copy_with(userinfo=b"", query=None, fragment=None))


@contextmanager
def call(
    method: str,
    url: httpx.URL,
    settings: FetchSettings,
    deadline: Deadline,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Iterator[httpcore.Response]:
    """One request, without redirects, proxies and cookies; the response's body is still to be read.

    Raises:
        InvalidInputError: the URL, or an address of its host, is not allowed.
        DeadlineError: it took too long.
        UpstreamError: the host is unknown, or does not answer as a server should.
    """
    check_url(str(url), settings)
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    sent = {"User-Agent": _USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity", **(headers or {})}
    try:
        with (
            httpcore.ConnectionPool(_certificates(), network_backend=_Guard(settings, deadline)) as connections,
            connections.stream(method, target, headers=list(sent.items()), content=body) as response,
        ):
            yield response
    except httpcore.TimeoutException:
        deadline.left()
        raise UpstreamError(f"{shown(url)}: does not answer", param="url") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, *_NO_HOST) as error:
        raise UpstreamError(f"{shown(url)}: {str(error) or type(error).__name__}", param="url") from error


@cache
def _certificates() -> ssl.SSLContext:
    # Reading the certificates takes tens of milliseconds. $SSL_CERT_FILE and $SSL_CERT_DIR are honoured.
    return httpx.create_ssl_context()


def _port(url: httpx.URL) -> int:
    return url.port or {"http": 80, "https": 443}[url.scheme]


def _is_named(host: str, port: int, settings: FetchSettings) -> bool:
    """Whether the settings allow the host, whatever its addresses."""
    names = {name.lower() for name in settings.private_hosts}
    bracketed = f"[{host}]" if ":" in host else host
    return not names.isdisjoint({host.lower(), bracketed.lower(), f"{bracketed}:{port}".lower()})


def _resolved(host: str, port: int, flags: int = 0, *, named: bool = False) -> list[str]:
    """The addresses of a host, all of them public unless the settings name it."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    addresses = list(dict.fromkeys(str(address[4][0]) for address in found))
    if not named and not all(map(_is_public, addresses)):
        raise _refused(host)
    return addresses


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            address = address.ipv4_mapped
        # Ways to write an IPv4 address as an IPv6 one; NAT64's is among the reserved.
        elif address.sixtofour or address.teredo or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _refused(host: str) -> InvalidInputError:
    # The address stays out of the message: who gave the URL need not learn how names resolve in here.
    return InvalidInputError(
        f"host {host!r} is not at a public address; only an administrator can allow it, in fetch.private_hosts",
        param="url",
    )


class _Guard(httpcore.NetworkBackend):
    """Connects to addresses that were checked, until the deadline."""

    def __init__(self, settings: FetchSettings, deadline: Deadline) -> None:
        self._settings = settings
        self._deadline = deadline
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in _resolved(host, port, named=_is_named(host, port, self._settings)):
            try:
                seconds = self._deadline.left(_CONNECT_S)
                return _Stream(self._sockets.connect_tcp(address, port, seconds), self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _Stream(httpcore.NetworkStream):
    """A connection whose every step ends by the deadline, however slowly bytes drip in."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left(_CONNECT_S))
        return _Stream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
