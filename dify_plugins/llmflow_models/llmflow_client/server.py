"""The LLMFlow server over HTTP; every failure is one of the five errors Dify knows, its message for people.

Dify tells errors apart by the name of their class, so no class of our own may be raised.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
from dify_plugin.errors.model import (
    InvokeAuthorizationError,
    InvokeBadRequestError,
    InvokeConnectionError,
    InvokeError,
    InvokeRateLimitError,
    InvokeServerUnavailableError,
)

from llmflow_client.credentials import Credentials

MOST_BYTES = 4_500_000
"""Of a result. Dify ends a plugin that writes a line of over 5 MB, and with it the calls of all other users."""
_CONNECT_S = 10
_KEPT_S = 2
"""Seconds a connection may be idle: less than the server allows (5), lest it closes one just as it is used."""
_STATUS = {
    "unauthenticated": 401,
    "forbidden": 403,
    "rate_limited": 429,
    "overloaded": 503,
    "upstream": 503,
    "store_held": 503,
    "timeout": 504,
    "internal_error": 500,
    "configuration": 500,
}
"""HTTP status of an error's code, for errors that come inside a stream, where there is no status."""
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""May be half of a surrogate pair, as JSON writes it."""


class Server:
    """One server with one key. Cheap to make: connections are kept per address and key.

    Whatever goes wrong is raised as one of Dify's five kinds of :class:`InvokeError`.
    """

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials

    def post(self, path: str, body: dict[str, Any], field: str, timeout_s: float | None = None) -> dict[str, Any]:
        """The JSON answer to ``body``, which has that field, within ``timeout_s`` instead of the credentials' own."""
        return self._whole("POST", path, body, field, timeout_s or self.credentials.timeout_s)

    def events(self, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The data of each server-sent event of the answer to ``body``, up to ``[DONE]``."""
        timeout_s = self.credentials.timeout_s
        with self._sent("POST", path, body, timeout_s) as response:
            # httpx would split lines at U+2028 as well, which JSON may hold. A line is decoded when it is
            # whole, so that no character is cut.
            rest, heard = b"", time.monotonic()
            for part in response.iter_bytes():
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    if line.startswith(b"data:"):
                        heard = time.monotonic()
                        data = line.removeprefix(b"data:").strip()
                        if data == b"[DONE]":
                            return
                        yield self._event(data)
                if len(rest) > MOST_BYTES:
                    raise self._error(InvokeBadRequestError, "too_large")
                if time.monotonic() - heard > timeout_s:  # a heartbeat is no answer
                    raise self._error(InvokeConnectionError, "late", seconds=timeout_s)

    def broken_off(self) -> InvokeError:
        """The answer ended before it was complete."""
        return self._error(InvokeConnectionError, "broken_off")

    def model(self, name: str) -> dict[str, Any]:
        """What the server says now of a model: ``id``, ``kind``, ``parent``, ``max_model_len``.

        Raises:
            InvokeBadRequestError: it is not served; the message names those that are.
        """
        listed = self._whole("GET", "/v1/models", None, "llmflow", self.credentials.timeout_s)
        models = {each["id"]: each for each in listed["data"]}
        reasons = [each["reason"] for each in listed["llmflow"]["degradations"]]
        if name in models:
            found: dict[str, Any] = models[name]
            return found
        message = self.credentials.say("unknown_model", model=name, served=", ".join(models))
        if reasons:
            message += self.credentials.say("models_unknown", reason="; ".join(reasons))
        raise InvokeBadRequestError(message)

    def _whole(
        self, method: str, path: str, body: dict[str, Any] | None, field: str, timeout_s: float
    ) -> dict[str, Any]:
        with self._sent(method, path, body, timeout_s) as response:
            answer = _json(self._read(response, timeout_s))
        if field not in answer:
            raise self._error(InvokeConnectionError, "not_llmflow", status=response.status_code)
        return answer

    def _event(self, data: bytes) -> dict[str, Any]:
        if not (event := _json(data)):
            raise self.broken_off()
        if isinstance(error := event.get("error"), dict):
            raise self._refusal(_status_of(error.get("code")), event, None)
        return event

    @contextmanager
    def _sent(self, method: str, path: str, body: dict[str, Any] | None, timeout_s: float) -> Iterator[httpx.Response]:
        """A response that is a success, its content not read yet."""
        timeout = httpx.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s), pool=None)
        try:
            client = _client(self.credentials.base_url, self.credentials.api_key)
            with client.stream(method, path, json=body, timeout=timeout) as response:
                if response.status_code != 200:
                    raise self._refused(response, body or {}, timeout_s)
                yield response
        except httpx.TimeoutException as error:
            late = isinstance(error, httpx.ReadTimeout)
            raise self._error(InvokeConnectionError, "late" if late else "unreachable", seconds=timeout_s) from error
        except (httpx.ReadError, httpx.RemoteProtocolError) as error:
            raise self.broken_off() from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._error(InvokeConnectionError, "unreachable") from error

    def _read(self, response: httpx.Response, timeout_s: float) -> bytes:
        content, until = b"", time.monotonic() + timeout_s
        for part in response.iter_bytes():
            content += part
            if len(content) > MOST_BYTES:
                raise self._error(InvokeBadRequestError, "too_large")
            if time.monotonic() > until:  # a drop now and then is no answer
                raise self._error(InvokeConnectionError, "late", seconds=timeout_s)
        return content

    def _refused(self, response: httpx.Response, asked: dict[str, Any], timeout_s: float) -> InvokeError:
        status = response.status_code
        answer = _json(self._read(response, timeout_s))
        if not isinstance(answer.get("error"), dict):
            return self._error(InvokeConnectionError, "not_llmflow", status=status)
        if status == 404 and answer["error"].get("param") != "model":
            return self._error(InvokeConnectionError, "not_llmflow", status=status)
        if status == 404:
            self.model(asked["model"])  # names those that are served
        return self._refusal(status, answer, response.headers.get("Retry-After"))

    def _refusal(self, status: int, answer: dict[str, Any], retry_after: str | None) -> InvokeError:
        """The error that the server tells of in its form: ``{"error": {"message", "param", ...}, "request_id"}``."""
        detail = answer["error"].get("message")
        wait = (
            self.credentials.say("in_seconds", seconds=retry_after)
            if retry_after and retry_after.isdigit()
            else self.credentials.say("soon")
        )
        match status:
            case 401:
                return self._error(InvokeAuthorizationError, "unauthorized")
            case 403:
                return self._error(InvokeAuthorizationError, "forbidden", detail=detail)
            case 429:
                return self._error(InvokeRateLimitError, "rate_limited", wait=wait)
            case 500:
                return self._error(InvokeServerUnavailableError, "failed", request_id=answer.get("request_id"))
            case _ if status > 500:
                return self._error(InvokeServerUnavailableError, "unavailable", detail=detail, wait=wait)
            case _:
                return self._error(InvokeBadRequestError, "refused", detail=detail)

    def _error(self, kind: type[InvokeError], key: str, **values: Any) -> InvokeError:
        return kind(self.credentials.say(key, url=self.credentials.base_url, **values))


def _status_of(code: Any) -> int:
    """The HTTP status that an error's code stands for; 503 where it has none, 400 where nobody knows it."""
    if code is None:
        return 503
    if isinstance(code, int) and 400 <= code < 600:
        return code
    return _STATUS.get(str(code), 400)


def _json(content: bytes) -> dict[str, Any]:
    """The object that ``content`` is; an empty one where it is none.

    Half a surrogate pair becomes a question mark, as no line to Dify can hold it.
    """
    try:
        text = content.decode()
        found = json.loads(text)
        if _HALF.search(text):
            found = json.loads(json.dumps(found, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


@lru_cache(maxsize=64)
def _client(base_url: str, api_key: str) -> httpx.Client:
    """Connections to one server with one key, which users share: no cookie is taken."""
    return httpx.Client(
        base_url=base_url,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={"Authorization": f"Bearer {api_key}"},
        limits=httpx.Limits(max_connections=None, keepalive_expiry=_KEPT_S),
    )
