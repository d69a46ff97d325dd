"""Calls to a model's server over HTTP: one deadline, retries, and a circuit breaker."""

from __future__ import annotations

import json
import queue
import random
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from llmflow.errors import UpstreamError
from llmflow.models.breaker import CircuitBreaker
from llmflow.settings import CallSettings

if TYPE_CHECKING:
    import httpx

RETRIED_STATUS = frozenset({408, 409, 429, 500, 502, 503, 504})
"""What a server may answer differently a moment later."""


class ModelServer:
    """JSON calls to one server; one connection pool and one circuit breaker, safe between threads.

    Args:
        name: what the server is, for messages: ``embedding server``.
        base_url: its address; paths are added to it.
        api_key: sent as a bearer token.
        settings: how it is called.
        param: the setting that holds ``base_url``, e.g. ``embedder.base_url``.
    """

    def __init__(self, name: str, base_url: str, api_key: SecretStr | None, settings: CallSettings, param: str) -> None:
        self.name = name
        self.base_url = base_url.rstrip("/")
        self.settings = settings
        self.breaker = CircuitBreaker(settings)
        self._api_key = api_key
        self._param = param
        self._section = param.rpartition(".")[0]

    def post(self, path: str, body: Any, deadline: float | None = None) -> Any:
        """Send ``body`` as JSON and return the JSON of the answer.

        Failures that another try may not meet are tried again, with growing pauses.

        Args:
            deadline: ``time.monotonic()`` at which the whole answer must be there, however many
                tries that takes; ``timeout_s`` from now at most, and by default.

        Raises:
            UpstreamError: the server cannot be reached, refuses the call, answers in another form
                than JSON or too late, or its breaker is open. ``details["status"]`` is the HTTP
                status, where there is one.
        """
        return self._call("POST", path, body, deadline)

    def get(self, path: str, deadline: float | None = None) -> Any:
        """Return the JSON at ``path``; as :meth:`post`."""
        return self._call("GET", path, None, deadline)

    def close(self) -> None:
        """Close the connections."""
        if "_http" in self.__dict__:
            self._http.close()

    def _call(self, method: str, path: str, body: Any, deadline: float | None) -> Any:
        latest = time.monotonic() + self.settings.timeout_s
        deadline = latest if deadline is None else min(deadline, latest)
        if time.monotonic() >= deadline:
            raise self._failed("was not called: the time allowed was over")
        if wait := self.breaker.wait_s():
            until = (datetime.now(UTC) + timedelta(seconds=wait)).isoformat(timespec="seconds")
            raise self._failed(
                f"failed {self.settings.breaker_failures} times within {self.settings.breaker_window_s:g} s and is left"
                f" alone until {until}; look at its log",
                retry_after_s=round(wait, 3),
            )
        for attempt in range(self.settings.retries + 1):
            try:
                answer = self._attempt(method, path, body, deadline)
            except _FailedAttemptError as failure:
                if not failure.refused:
                    self.breaker.failed()
                else:
                    self.breaker.succeeded()  # the server works; the call was wrong
                pause = failure.retry_after
                if pause is None:
                    pause = self.settings.backoff_s * 2**attempt * random.uniform(0.75, 1.25)
                last = attempt == self.settings.retries or time.monotonic() + pause >= deadline
                if not failure.retry or last or self.breaker.state != "closed":
                    details = {} if failure.status is None else {"status": failure.status}
                    raise self._failed(str(failure), **details) from failure.__cause__
                time.sleep(pause)
            else:
                self.breaker.succeeded()
                return answer
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _attempt(self, method: str, path: str, body: Any, deadline: float) -> Any:
        """One call. A thread makes it, so that the deadline holds however slowly bytes drip in."""
        results: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def work() -> None:
            try:
                results.put(self._exchange(method, path, body, deadline))
            except Exception as error:  # handed to the waiting thread
                results.put(error)

        threading.Thread(target=work, name=self.name, daemon=True).start()
        try:
            result = results.get(timeout=max(deadline - time.monotonic(), 0.001))
        except queue.Empty:
            raise self._late() from None
        if isinstance(result, Exception):
            raise result
        return result

    def _exchange(self, method: str, path: str, body: Any, deadline: float) -> Any:
        import httpx

        remaining = max(deadline - time.monotonic(), 0.001)
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            with self._http.stream(
                method, self.base_url + path, content=content, headers=headers, timeout=remaining
            ) as response:
                data = b""
                for part in response.iter_bytes():
                    data += part
                    if time.monotonic() >= deadline:  # nobody waits any more
                        raise self._late()
                return self._read(response, data)
        except httpx.TimeoutException as error:
            raise self._late() from error
        except httpx.TransportError as error:
            raise _FailedAttemptError(
                f"{str(error) or type(error).__name__}; check that the server runs and that {self._param} is right",
                retry=True,
            ) from error
        except httpx.DecodingError as error:
            raise _FailedAttemptError(f"sent bytes that cannot be unpacked ({error}); look at its log") from error
        except httpx.InvalidURL as error:
            raise _FailedAttemptError(f"is no valid address ({error}); correct {self._param}", refused=True) from error

    def _read(self, response: httpx.Response, data: bytes) -> Any:
        status = response.status_code
        text = excerpt(data.decode("utf-8", "replace"))
        if status in RETRIED_STATUS:
            raise _FailedAttemptError(
                f"answered HTTP {status} ({text}); try later or look at its log",
                status=status,
                retry=True,
                retry_after=retry_after_s(response.headers),
            )
        if status != 200:
            raise _FailedAttemptError(
                f"answered HTTP {status} ({text}); {self._advice(status)}", status=status, refused=400 <= status < 500
            )
        content_type = response.headers.get("content-type", "")
        if "json" not in content_type:
            raise _FailedAttemptError(
                f"answered {content_type or 'without a content type'} instead of application/json; check that"
                f" {self._param} is right",
                status=status,
            )
        try:
            return json.loads(data)
        except ValueError:
            raise _FailedAttemptError(
                f"answered what is no valid JSON: {text}; look at its log", status=status
            ) from None

    def _advice(self, status: int) -> str:
        if status in (401, 403):
            return f"check {self._section}.api_key"
        if status == 404:
            return f"check {self._param}"
        return f"check {self._section}.model and the server's limits"

    def _late(self) -> _FailedAttemptError:
        return _FailedAttemptError(
            f"gave no complete answer in time ({self._section}.timeout_s={self.settings.timeout_s:g} s at most); check"
            " that it is up and look at its load"
        )

    def _failed(self, what: str, **details: Any) -> UpstreamError:
        return UpstreamError(f"{self.name} {self.base_url}: {what}", param=self._param, **details)

    @cached_property
    def _http(self) -> httpx.Client:
        import httpx

        headers = {"Authorization": f"Bearer {self._api_key.get_secret_value()}"} if self._api_key else {}
        return httpx.Client(headers=headers)


class _FailedAttemptError(Exception):
    """A call that failed; ``refused`` says that the server works and the call was at fault."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry: bool = False,
        retry_after: float | None = None,
        refused: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry = retry
        self.retry_after = retry_after
        self.refused = refused


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of a ``Retry-After`` header (RFC 9110, 10.2.3), given as seconds or as a date; None without one."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - time.time(), 0.0)


def excerpt(text: str) -> str:
    """The first 200 characters of what a server said, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= 200 else text[:200] + "..."
