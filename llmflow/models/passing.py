"""An endpoint's answer on its way to a caller: the bytes it sent, watched for how they end."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmflow.errors import UpstreamError
from llmflow.models.llm_streaming import Usage
from llmflow.models.serving import excerpt

if TYPE_CHECKING:
    import httpx

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_LONGEST_BLANK_LINE = 4
_AWAY_STATUS = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The LLM's endpoint as errors tell of it; it may be silent for ``timeout_s``."""

    url: str
    timeout_s: float

    def error(self, what: str, **details: Any) -> UpstreamError:
        """It did not do its part."""
        return UpstreamError(f"LLM endpoint {self.url}: {what}", param="llm.base_url", **details)

    @contextmanager
    def called(self) -> Iterator[None]:
        """Failures of httpx as :class:`UpstreamError`."""
        import httpx

        try:
            yield
        except httpx.TimeoutException as error:
            raise self.error(
                f"said nothing for llm.timeout_s={self.timeout_s:g} s; check that it is up and look at its load"
            ) from error
        except httpx.RequestError as error:
            raise self.error(
                f"{excerpt(str(error)) or type(error).__name__}; check that the server runs and that llm.base_url is"
                " right"
            ) from error
        except httpx.InvalidURL as error:
            raise self.error(f"is no valid address ({error}); correct llm.base_url") from error


def is_away(error: UpstreamError) -> bool:
    """Whether an error says that the endpoint is away: no connection, a broken one, or a proxy's word for it.

    Silence after a request was taken is none: the answer may be a long one.
    """
    import httpx

    if isinstance(error.__cause__, httpx.ReadTimeout | httpx.WriteTimeout):
        return False
    return error.details.get("status") in _AWAY_STATUS or isinstance(error.__cause__, httpx.TransportError | EOFError)


class PassedAnswer:
    """A whole answer or a stream of events, whose beginning is there. Whoever has it closes it.

    ``usage`` is what the endpoint said of tokens, and ``failure`` what it said of an error, so far.

    Args:
        on_break: called when the connection breaks before the answer's end.
    """

    def __init__(self, response: httpx.Response, endpoint: Endpoint, on_break: Callable[[], None]) -> None:
        self.usage: Usage | None = None
        self.failure: str | None = None
        self._response = response
        self._endpoint = endpoint
        self._on_break = on_break
        self._has_result = False  # a reason to finish, or an error
        self._has_done = False  # the event [DONE]

    @property
    def is_stream(self) -> bool:
        """Whether it comes as events."""
        return "text/event-stream" in self._response.headers.get("content-type", "")

    async def read(self) -> bytes:
        """The whole answer, JSON.

        Raises:
            UpstreamError: it breaks off, is late, or is no JSON.
        """
        content_type = self._response.headers.get("content-type", "")
        with self._breaks_told():
            content = b"".join([part async for part in self._response.aiter_bytes()])
            if "json" not in content_type or not self._note(content):
                raise self._endpoint.error(
                    f"answered with {content_type or 'no content type'} instead of JSON"
                    f" ({excerpt(content.decode(errors='replace'))}); check that llm.base_url is an OpenAI-compatible"
                    " API (it usually ends in /v1)"
                )
        return content

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The bytes as they were sent, cut between events only; an event that breaks off after the answer is left out.

        Raises:
            UpstreamError: it breaks off or is late; whole events were given before.
        """
        rest = bytearray()
        with self._breaks_told():
            async for part in self._response.aiter_bytes():
                unread = max(0, len(rest) - _LONGEST_BLANK_LINE + 1)
                rest += part
                ends = [found.end() for found in _BLANK_LINE.finditer(rest, unread)]
                if ends:
                    events = bytes(rest[: ends[-1]])
                    del rest[: ends[-1]]
                    self._note_events(events)
                    yield events
                    if self._has_done:
                        return
            is_whole = self._note_events(rest)
            if not (self._has_result or self._has_done):
                raise self._endpoint.error("broke off before the answer's end; look at its log") from EOFError()
        if is_whole:
            yield bytes(rest)

    async def aclose(self) -> None:
        """Close the connection; an endpoint that is still writing notices."""
        await self._response.aclose()

    def _note_events(self, events: bytes | bytearray) -> bool:
        """Note each event's data; False if the last line is none, or not whole."""
        is_whole = False
        for line in events.splitlines():
            data = line[5:].strip() if line.startswith(b"data:") else b""
            is_done = data == b"[DONE]"
            self._has_done |= is_done
            is_whole = is_done or self._note(data)
        return is_whole

    def _note(self, data: bytes | bytearray) -> bool:
        """Keep what JSON says of tokens, errors and the end; False if it is none."""
        try:
            said = json.loads(data)
        except ValueError:
            return False
        try:
            if error := said.get("error"):
                self.failure, self._has_result = excerpt(json.dumps(error, ensure_ascii=False)), True
            if usage := said.get("usage"):
                self.usage = Usage(int(usage["prompt_tokens"]), int(usage.get("completion_tokens") or 0))
            self._has_result |= any(choice.get("finish_reason") for choice in said.get("choices") or ())
        except (LookupError, TypeError, ValueError, OverflowError, AttributeError):
            pass  # another form than we know: the caller's business
        return True

    @contextmanager
    def _breaks_told(self) -> Iterator[None]:
        try:
            with self._endpoint.called():
                yield
        except UpstreamError as error:
            if is_away(error):
                self._on_break()
            raise
