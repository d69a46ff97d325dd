"""The LLMFlow server over HTTP; every failure is a sentence for people."""

from __future__ import annotations

import math
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

import httpx
from gevent import Timeout

from llmflow_client.credentials import LONGEST_TIMEOUT_S, Credentials
from llmflow_client.errors import InvokeBadRequestError, InvokeConnectionError, LLMFlowError, refused
from llmflow_client.foreign_json import read

TLS = httpx.create_ssl_context()
"""Whom to trust. Reading all certificates takes a while, in which no other run goes on: once is enough."""
MOST_MB = 32
"""Of an answer. Dify gives a plugin 256 MB for all its users together."""
_CONNECT_S = 10
_LONGEST_WAIT_S = 3600
"""Longer ones are not told."""
_KEPT_S = 3
"""Seconds a connection may be idle: less than the server allows (5), lest it closes one just as it is used."""
_STATUS = {
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "too_large": 413,
    "rate_limited": 429,
    "internal_error": 500,
    "configuration": 500,
    "overloaded": 503,
    "upstream": 503,
    "store_held": 503,
    "timeout": 504,
}
"""HTTP status of an error's code, for errors that come as an event; any other code is a bad request."""
_SENTENCES = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    413: "too_large",
    429: "rate_limited",
    502: "unavailable",
    503: "unavailable",
    504: "overdue",
}
_SENTENCES_OF = {
    (403, "role"): "needs_role",
    (404, "entity"): "no_such_entity",
    (404, "job_id"): "no_such_job",
    (409, "graph.enabled"): "graph_off",
    (422, "rerank"): "no_such_rerank",
}
"""Of statuses with the argument or setting at fault, as the server names it."""
_DETAILED = (
    "forbidden",
    "not_found",
    "conflict",
    "too_large",
    "invalid",
    "unavailable",
    "no_such_entity",
    "no_such_rerank",
)
"""Sentences after which it helps to read what the server says."""
_EVENTS = "text/event-stream"

Json = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What came back, whatever it is."""

    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def json(self) -> Any:
        """The content read as JSON; None where it is none."""
        try:
            return read(self.content)
        except ValueError:
            return None


class Server:
    """One server with one key, for one run of a tool: all its calls together take no longer than ``timeout_s``.

    Cheap to make: connections are kept per address and key. Waiting yields to the plugin's other runs.
    """

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self._end = time.monotonic() + credentials.timeout_s

    def get(self, path: str, *keys: str) -> Json:
        """The JSON object at a path, which must have ``keys``."""
        return self._object(self.exchange("GET", path), keys)

    def post(self, path: str, body: Json, *keys: str) -> Json:
        """The JSON object that answers ``body``, which must have ``keys``."""
        return self._object(self.exchange("POST", path, json=body), keys)

    def upload(self, path: str, fields: dict[str, str], file: tuple[str, IO[bytes], str | None], *keys: str) -> Json:
        """The JSON object that answers a form with the file ``files``: its name, content and MIME type."""
        return self._object(self.exchange("POST", path, data=fields, files={"files": file}), keys)

    def events(self, path: str, body: Json) -> Iterator[tuple[str, Json]]:
        """Name and data of each server-sent event that answers ``body``; an ``error`` is raised."""
        with ExitStack() as stack:
            with self._calling():
                response = stack.enter_context(self._client.stream("POST", path, json=body))
                if response.status_code != 200 or not response.headers.get("Content-Type", "").startswith(_EVENTS):
                    raise self.refusal(Reply(response.status_code, response.headers, self._read(response)))
            events = _events(self._parts(response))
            while True:
                with self._calling():
                    event = next(events, None)
                if event is None:
                    return
                name, text = event
                data = self._event(text)
                if name == "error":
                    raise self._refusal_of(_STATUS.get(str(_error_of(data).get("code")), 422), data, {})
                yield name, data

    def exchange(self, method: str, path: str, **content: Any) -> Reply:
        """Any request and whatever comes back, errors and foreign pages included.

        Raises:
            InvokeConnectionError: nothing came back, or not all of it, or not in time.
        """
        with self._calling(), self._client.stream(method, path, **content) as response:
            return Reply(response.status_code, response.headers, self._read(response))

    @contextmanager
    def in_time(self, late: LLMFlowError) -> Iterator[None]:
        """Ends what runs in it with ``late`` when the time is up.

        httpx limits each step only: a server that sends a byte now and then would hold a run for ever.
        """
        timer = Timeout(max(0.001, self.time_left_s))
        timer.start()
        try:
            yield
        except Timeout as fired:
            if fired is not timer:
                raise
            raise late from None
        finally:
            timer.close()

    @property
    def time_left_s(self) -> float:
        """Seconds until the time is up."""
        return self._end - time.monotonic()

    def broken_off(self) -> LLMFlowError:
        """The answer ended before it was complete."""
        return self._lost("broken_off")

    def not_llmflow(self, reply: Reply) -> LLMFlowError:
        """The reply is none of LLMFlow's."""
        if 300 <= reply.status < 400 and "Location" in reply.headers:
            own = urlsplit(self.credentials.base_url)
            target = urlsplit(urljoin(self.credentials.base_url, reply.headers["Location"]))
            if (target.scheme, target.netloc) != (own.scheme, own.netloc):
                host = target.netloc.rpartition("@")[2]
                return self._lost("redirected", target=f"{target.scheme}://{host}"[:200])
        return self._lost("not_llmflow", status=reply.status)

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """Errors on the way to the server and back become sentences."""
        try:
            seconds = self.credentials.timeout_s
            late = self._lost("late" if seconds < LONGEST_TIMEOUT_S else "late_at_most", seconds=seconds)
            with self.in_time(late):
                yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._unreachable(error) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise InvokeBadRequestError(
                self.credentials.say("bad_address", address=self.credentials.base_url)
            ) from None
        except httpx.HTTPError:
            raise self._lost("broken_off") from None

    @property
    def _client(self) -> httpx.Client:
        return _client(self.credentials.base_url, self.credentials.api_key)

    def _read(self, response: httpx.Response) -> bytes:
        return b"".join(self._parts(response))

    def _parts(self, response: httpx.Response) -> Iterator[bytes]:
        """The body as it comes; a compressed one was not asked for, and could be of any size."""
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise self._lost("not_llmflow", status=response.status_code)
        return _bounded(response.iter_raw(), self._endless())

    def _object(self, reply: Reply, keys: Sequence[str]) -> Json:
        if not 200 <= reply.status < 300:
            raise self.refusal(reply)
        body = reply.json
        if not isinstance(body, dict) or not all(key in body for key in keys):
            raise self.not_llmflow(reply)
        return body

    def _event(self, text: str) -> Json:
        try:
            data = read(text)
        except ValueError:
            raise self.broken_off() from None
        if not isinstance(data, dict):
            raise self.broken_off()
        return data

    def refusal(self, reply: Reply) -> LLMFlowError:
        """The error a reply tells of. Of statuses that any proxy gives, some speak for themselves."""
        body = reply.json
        if isinstance(body, dict) and _error_of(body) and "request_id" in body:
            return self._refusal_of(reply.status, body, reply.headers)
        if reply.status in (413, 429) or reply.status >= 500:
            return self._refusal_of(reply.status, {}, reply.headers)
        return self.not_llmflow(reply)

    def _refusal_of(self, status: int, body: Json, headers: Mapping[str, str]) -> LLMFlowError:
        """The error of the server's form ``{"error": {"message", "param", "details", ...}, "request_id"}``."""
        error = _error_of(body)
        details = error.get("details")
        seconds = headers.get("Retry-After") or (details.get("retry_after_s") if isinstance(details, dict) else None)
        key = _SENTENCES.get(status, "invalid" if status < 500 else "failed")
        key = _SENTENCES_OF.get((status, str(error.get("param"))), key)
        request_id = body.get("request_id") or headers.get("X-Request-ID") or "-"
        message = self.credentials.say(key, wait=self._wait(seconds), request_id=str(request_id)[:128])
        detail = str(error.get("message") or "")[:500]
        if detail and key in _DETAILED:
            message += " " + self.credentials.say("server_says", detail=detail)
        return refused(message, status)

    def _wait(self, seconds: Any) -> str:
        try:
            wait = float(seconds)
        except (TypeError, ValueError, OverflowError):
            wait = math.inf
        if not wait <= _LONGEST_WAIT_S:
            return self.credentials.say("soon")
        return self.credentials.say("in_seconds", seconds=max(1, round(wait)))

    def _unreachable(self, error: httpx.TransportError) -> LLMFlowError:
        causes = list(_causes(error))
        host = urlsplit(self.credentials.base_url).hostname or ""
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return self._lost("bad_certificate", detail=cause.verify_message)
            if isinstance(cause, ssl.SSLError):
                return self._lost("not_https")
            if isinstance(cause, socket.gaierror):
                return self._lost("unknown_host", host=host)
        local = host == "localhost" or host.startswith("127.") or host == "::1"
        return self._lost("unreachable_local" if local else "unreachable", host=host)

    def _endless(self) -> InvokeBadRequestError:
        return InvokeBadRequestError(self.credentials.say("endless", url=self.credentials.base_url, most=MOST_MB))

    def _lost(self, key: str, **values: Any) -> InvokeConnectionError:
        return InvokeConnectionError(self.credentials.say(key, url=self.credentials.base_url, **values))


@lru_cache(maxsize=64)
def _client(base_url: str, api_key: str) -> httpx.Client:
    """Connections to one server with one key, which users share: no cookie is taken."""
    return httpx.Client(
        base_url=base_url,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={"Authorization": f"Bearer {api_key}", "Accept-Encoding": "identity"},
        verify=TLS,
        timeout=httpx.Timeout(None, connect=_CONNECT_S),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=_KEPT_S),
    )


def _bounded(parts: Iterable[bytes], endless: LLMFlowError) -> Iterator[bytes]:
    """The parts, as long as they are not too many bytes together."""
    length = 0
    for part in parts:
        length += len(part)
        if length > MOST_MB * 1_000_000:
            raise endless
        yield part


def _events(parts: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Name and data of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    Split at line feeds only: httpx would split at U+2028 as well, which JSON may hold.
    """
    name, data, rest = "message", list[str](), list[bytes]()
    for part in parts:
        *lines, last = part.split(b"\n")
        if lines:
            lines[0] = b"".join((*rest, lines[0]))
            rest.clear()
        rest.append(last)
        for line in lines:
            field, _, value = line.decode("utf-8", "replace").rstrip("\r").partition(":")
            match field:
                case "event":
                    name = value.strip()
                case "data":
                    data.append(value.removeprefix(" "))
                case "" if not value:
                    if data:
                        yield name, "\n".join(data)
                    name, data = "message", []


def _error_of(body: Json) -> Json:
    error = body.get("error")
    return error if isinstance(error, dict) else {}


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
