"""Answers of a chat endpoint, piece by piece as they arrive."""

from __future__ import annotations

import json
import queue
import random
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict

from llmflow.errors import UpstreamError
from llmflow.models.breaker import CircuitBreaker
from llmflow.models.serving import RETRIED_STATUS, excerpt, retry_after_s
from llmflow.settings import LLMSettings

if TYPE_CHECKING:
    import httpx

_THOUGHTS = ("<think>", "</think>")


class Message(TypedDict):
    """One turn of a chat: ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, as the endpoint counted them."""

    prompt_tokens: int
    completion_tokens: int


class TokenStream(Iterator[str]):
    """The pieces of one answer as they arrive.

    ``finish_reason`` ("stop", "length", ...) and ``usage`` are known once the stream is
    exhausted, and stay None if the endpoint does not say.
    """

    def __init__(self, endpoint: StreamingEndpoint, messages: Sequence[Message]) -> None:
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self._pieces = without_thoughts(endpoint.pieces(self, messages))

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """Stop listening; the endpoint stops generating once it notices."""
        self._pieces.close()


class StreamingEndpoint:
    """``/chat/completions`` below ``base_url``, with a circuit breaker; safe between threads."""

    def __init__(self, base_url: str, settings: LLMSettings) -> None:
        self.settings = settings
        self.url = base_url.rstrip("/") + "/chat/completions"
        self.breaker = CircuitBreaker(settings)

    def pieces(self, stream: TokenStream, messages: Sequence[Message]) -> Iterator[str]:
        """Yield the answer; ``stream`` is told how it ended.

        Raises:
            UpstreamError: the endpoint failed, or its breaker is open.
        """
        deadline = time.monotonic() + self.settings.timeout_s
        if wait := self.breaker.wait_s():
            raise self._error(
                f"failed {self.settings.breaker_failures} times within {self.settings.breaker_window_s:g} s and is left"
                f" alone for {wait:.0f} s; look at its log",
                retry_after_s=round(wait, 3),
            )
        for attempt in range(self.settings.retries + 1):
            started = False
            try:
                for piece in self._attempt(stream, messages, deadline):
                    started = True
                    yield piece
                self.breaker.succeeded()
                return
            except _FailedAttemptError as failure:
                if failure.refused:
                    self.breaker.succeeded()  # the server works; the call was wrong
                else:
                    self.breaker.failed()
                pause = failure.retry_after
                if pause is None:
                    pause = self.settings.backoff_s * 2**attempt * random.uniform(0.75, 1.25)
                last = attempt == self.settings.retries or time.monotonic() + pause >= deadline
                if not failure.retry or started or last or self.breaker.state != "closed":
                    raise self._error(str(failure)) from failure.__cause__
                time.sleep(pause)

    def _attempt(self, stream: TokenStream, messages: Sequence[Message], deadline: float) -> Iterator[str]:
        """One call. A thread reads, so that the deadline holds however slowly bytes drip in."""
        events: queue.SimpleQueue[str | Exception | None] = queue.SimpleQueue()
        stopped = threading.Event()
        body = self._body(messages)

        def read() -> None:
            try:
                for data in self._server_events(body, stopped):
                    events.put(data)
                events.put(None)
            except Exception as error:  # handed to the waiting thread
                events.put(error)

        threading.Thread(target=read, name="llm-stream", daemon=True).start()
        try:
            while True:
                try:
                    event = events.get(timeout=max(deadline - time.monotonic(), 0.001))
                except queue.Empty:
                    raise _FailedAttemptError(
                        f"gave no complete answer within llm.timeout_s={self.settings.timeout_s:g} s; raise it,"
                        " lower llm.max_tokens, or look at the endpoint's load"
                    ) from None
                if isinstance(event, Exception):
                    raise event
                if event is None:
                    break
                if event == "[DONE]":
                    return
                if text := self._text_of(stream, event):
                    yield text
        finally:
            stopped.set()
        if stream.finish_reason is None:
            raise _FailedAttemptError("the answer broke off before its end; look at the endpoint's log", retry=True)

    def _body(self, messages: Sequence[Message]) -> dict[str, Any]:
        return {
            "model": self.settings.model,
            "messages": list(messages),
            "temperature": self.settings.temperature,
            "max_tokens": self.settings.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def _server_events(self, body: dict[str, Any], stopped: threading.Event) -> Iterator[str]:
        """The ``data:`` fields of the answer; errors are already in their final form."""
        import httpx

        try:
            with self._http.stream("POST", self.url, json=body) as response:
                self._check_head(response)
                for line in _lines(response.iter_bytes()):
                    if stopped.is_set():
                        return
                    if line.startswith("data:"):
                        yield line[5:].strip()
        except httpx.TimeoutException as error:
            raise _FailedAttemptError(
                f"did not answer within llm.timeout_s={self.settings.timeout_s:g} s; check that it is up"
            ) from error
        except httpx.TransportError as error:
            raise _FailedAttemptError(
                f"{str(error) or type(error).__name__}; check that the server runs and that llm.base_url is right",
                retry=True,
            ) from error
        except httpx.InvalidURL as error:
            raise _FailedAttemptError(f"is no valid address ({error}); correct llm.base_url", refused=True) from error

    def _check_head(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in RETRIED_STATUS:
            response.read()
            raise _FailedAttemptError(
                f"answered HTTP {status} ({excerpt(response.text)}); try later or look at its log",
                retry=True,
                retry_after=retry_after_s(response.headers),
            )
        if status != 200:
            response.read()
            raise _FailedAttemptError(
                f"answered HTTP {status} ({excerpt(response.text)}); {_advice(status)}", refused=400 <= status < 500
            )
        content_type = response.headers.get("content-type", "")
        if "text/event-stream" not in content_type:
            raise _FailedAttemptError(
                f"answered {content_type or 'without a content type'} instead of text/event-stream; check that"
                " llm.base_url is an OpenAI-compatible API (it usually ends in /v1)"
            )

    def _text_of(self, stream: TokenStream, data: str) -> str:
        try:
            chunk = json.loads(data)
            if "error" in chunk:
                raise _FailedAttemptError(f"reported an error while answering: {excerpt(json.dumps(chunk['error']))}")
            if usage := chunk.get("usage"):
                stream.usage = Usage(int(usage["prompt_tokens"]), int(usage.get("completion_tokens") or 0))
            text = ""
            for choice in chunk["choices"]:
                text += choice["delta"].get("content") or ""
                stream.finish_reason = choice.get("finish_reason") or stream.finish_reason
            return text
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _FailedAttemptError(
                f"sent a chunk that is no chat completion: {excerpt(data)}; check that llm.base_url is an"
                " OpenAI-compatible API"
            ) from None

    def _error(self, what: str, **details: Any) -> UpstreamError:
        return UpstreamError(
            f"LLM endpoint {self.settings.base_url}: {what}",
            param="llm.base_url",
            model=self.settings.model,
            **details,
        )

    @cached_property
    def _http(self) -> httpx.Client:
        import httpx

        key = self.settings.api_key
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        return httpx.Client(headers=headers, timeout=self.settings.timeout_s)


class _FailedAttemptError(Exception):
    """A call that failed; ``refused`` says that the server works and the call was at fault."""

    def __init__(
        self, message: str, *, retry: bool = False, retry_after: float | None = None, refused: bool = False
    ) -> None:
        super().__init__(message)
        self.retry = retry
        self.retry_after = retry_after
        self.refused = refused


def without_thoughts(pieces: Iterator[str]) -> Generator[str]:
    """Leave out a ``<think>...</think>`` block at the start (Qwen, DeepSeek and others)."""
    opening, closing = _THOUGHTS
    held = ""
    for piece in pieces:
        held = (held + piece).lstrip()
        if opening.startswith(held[: len(opening)]):
            after = held.partition(closing)[2].lstrip()
            if not after:
                continue
            held = after
        yield held
        yield from pieces
        return
    if not held.startswith(opening):
        yield held


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    # httpx's own iter_lines also splits at U+2028 and the like, which JSON strings may hold.
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace").rstrip("\r")
    yield rest.decode("utf-8", "replace")


def _advice(status: int) -> str:
    if status in (401, 403):
        return "check llm.api_key"
    if status == 404:
        return "check llm.base_url (it usually ends in /v1) and llm.model"
    return "check llm.model and llm.max_tokens"
