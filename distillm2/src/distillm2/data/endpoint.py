"""A client of any OpenAI-compatible endpoint: retries with backoff, keys from the environment only."""

from __future__ import annotations

import asyncio
import email.utils
import ipaddress
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from distillm2.errors import DistillationError

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
REFUSED = frozenset({401, 403, 404})
LONGEST_WAIT = 300.0
Reader = Callable[[Mapping[str, Any]], tuple[str, str]]


@dataclass(frozen=True)
class Sampling:
    """How responses are drawn; the defaults are those of the paper (arXiv 2503.07067). No seed: the server's choice."""

    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 1024
    seed: int | None = None


PAPER = Sampling()


@dataclass(frozen=True)
class Endpoint:
    """Where a model answers. ``timeout`` in seconds for one answer; ``attempts`` counts the first one.

    Raises:
        DistillationError: the address is not http(s), or carries a password or a query, which would be logged.
    """

    url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 600.0
    attempts: int = 6

    def __post_init__(self) -> None:
        """Bring the address to the form ``http://host:port/v1``."""
        if "@" in self.url or "?" in self.url:
            raise DistillationError("An endpoint's address must hold no password or query: use --api-key-env.")
        try:
            parts = urlsplit(self.url)
            httpx.URL(self.url).host.encode("idna")
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except (ValueError, httpx.InvalidURL):
            usable = False
        if not usable:
            raise DistillationError(f"Endpoint {self.url!r}: an address such as http://127.0.0.1:8000/v1 is needed.")
        path = parts.path.rstrip("/").removesuffix("/completions").removesuffix("/chat") or "/v1"
        object.__setattr__(self, "url", f"{parts.scheme}://{parts.netloc}{path}")

    @property
    def loopback(self) -> bool:
        """Whether the server is this machine, which no proxy can reach."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")


@dataclass(frozen=True)
class Answer:
    """A model's answer. ``truncated``: it reached ``max_tokens``. ``reasoning``: thoughts the server gave apart."""

    text: str
    truncated: bool
    tokens: int
    reasoning: str


class RequestError(Exception):
    """One request failed for good; its record says why, and the next start asks again.

    ``own``: the fault is this request's own, and the endpoint may answer any other.
    """

    def __init__(self, message: str, *, own: bool = False) -> None:
        """Say what happened."""
        super().__init__(message)
        self.own = own


@dataclass
class Patience:
    """Ends a run when so many requests fail in a row that the endpoint must be at fault."""

    allowed: int
    failed: int = 0

    def count(self, error: RequestError | None) -> None:
        """Take note of an answer, or of the error in its place.

        Raises:
            DistillationError: one failure too many.
        """
        self.failed = 0 if error is None or error.own else self.failed + 1
        if self.failed >= self.allowed:
            raise DistillationError(
                f"{self.failed} requests failed in a row, last with: {error}. "
                "What was answered is kept: start the same command again when the endpoint answers."
            )


def key_from_environment(name: str | None, default: str) -> str | None:
    """The key in the variable ``name``, which must be set; when no name is given, that in ``default``, if any."""
    variable = name or default
    key = os.environ.get(variable, "").strip()
    if not key and name is not None:
        raise DistillationError(f"The environment variable {name} is not set: export it, or name another.")
    if not key.isascii() or not key.isprintable():
        raise DistillationError(f"The key in {variable} holds a control or non-ASCII character: export it anew.")
    return key or None


class Client:
    """Asks one endpoint, with at most ``concurrency`` connections; use as ``async with``."""

    def __init__(self, endpoint: Endpoint, concurrency: int) -> None:
        """Nothing is sent yet."""
        self.endpoint = endpoint
        headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
        self._http = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(None, connect=10.0),  # of the whole answer: see _post
            limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
            trust_env=not endpoint.loopback,
        )

    async def __aenter__(self) -> Self:
        """Ready to ask."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def chat(
        self, messages: Sequence[Mapping[str, str]], sampling: Sampling, thinking: bool | None = None
    ) -> Answer:
        """The answer to a conversation; ``thinking`` is handed to the server's chat template when it is given."""
        body: dict[str, Any] = {"messages": list(messages)}
        if thinking is not None:
            body["chat_template_kwargs"] = {"enable_thinking": thinking}
        return await self._ask("/chat/completions", body, sampling, _message)

    async def complete(self, token_ids: Sequence[int], stop: Sequence[str], sampling: Sampling) -> Answer:
        """The continuation of a prompt given as token ids, so that the server tokenizes nothing anew."""
        body: dict[str, Any] = {"prompt": list(token_ids)}
        if stop:
            body["stop"] = list(stop)
        return await self._ask("/completions", body, sampling, lambda choice: (_text(choice["text"]), ""))

    async def _ask(self, path: str, body: dict[str, Any], sampling: Sampling, read: Reader) -> Answer:
        body |= {
            "model": self.endpoint.model,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
        }
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        response = await self._post(path, body)
        try:
            parsed = response.json()
            choice = parsed["choices"][0]
            reason = choice["finish_reason"]
            if reason not in ("stop", "length"):
                raise RequestError(
                    f"finish_reason is {reason!r}: only 'stop' is a whole answer and 'length' one cut at max_tokens",
                    own=reason == "content_filter",
                )
            text, reasoning = read(choice)
            usage = parsed.get("usage")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise RequestError(f"not an answer in OpenAI's form: {self._said(response.text)}") from error
        tokens = usage.get("completion_tokens") if isinstance(usage, dict) else 0
        return Answer(
            text=without_lone_surrogates(text),
            truncated=reason == "length",
            tokens=tokens if isinstance(tokens, int) else 0,
            reasoning=without_lone_surrogates(reasoning),
        )

    async def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        problem = ""
        for attempt in range(1, self.endpoint.attempts + 1):
            wait = min(30.0, 0.5 * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
            try:
                async with asyncio.timeout(self.endpoint.timeout):
                    response = await self._http.post(self.endpoint.url + path, json=body)
            except TimeoutError:
                problem = f"no whole answer within {self.endpoint.timeout:g} s"
            except httpx.HTTPError as error:
                problem = self._said(f"{type(error).__name__} {error}".strip())
                if isinstance(error, httpx.LocalProtocolError):
                    raise RequestError(problem) from error  # not a word was sent, nor would be
            else:
                if response.is_success:
                    return response
                problem = f"HTTP {response.status_code}: {self._said(response.text)}"
                if response.next_request is not None:
                    target = self._said(str(response.next_request.url).removesuffix(path))
                    raise DistillationError(f"{self.endpoint.url} redirects to {target}: give that as --endpoint.")
                if response.status_code in REFUSED:
                    raise DistillationError(
                        f"{self.endpoint.url}{path} refused model {self.endpoint.model!r} with {problem}. "
                        "Check --endpoint, --model and the key's environment variable."
                    )
                if response.status_code not in RETRIED:
                    raise RequestError(problem, own=response.is_client_error)
                wait = max(wait, retry_after(response.headers.get("Retry-After", "")))
            if attempt < self.endpoint.attempts:
                await asyncio.sleep(min(wait, LONGEST_WAIT))
        raise RequestError(f"{problem} (asked {self.endpoint.attempts} times)")

    def _said(self, text: str) -> str:
        # Some servers quote the key in their error, and httpx does, in Python's form.
        if key := (self.endpoint.api_key or "").strip():
            text = text.replace(key, "***").replace(repr(key)[1:-1], "***")
        return text[:300]


def retry_after(header: str) -> float:
    """Seconds that a Retry-After header asks to wait: it holds seconds or a date; 0 when it holds neither."""
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def without_lone_surrogates(text: str) -> str:
    r"""The text with each half of a surrogate pair, which JSON's \ud83d can say and UTF-8 cannot, replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _message(choice: Mapping[str, Any]) -> tuple[str, str]:
    """Text and thoughts of a chat's choice; no text is an answer where the model stopped or thought to the end."""
    message = choice["message"]
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    reasoning = reasoning if isinstance(reasoning, str) else ""
    content = message["content"]
    if content is None and (choice["finish_reason"] == "stop" or reasoning):
        content = ""
    return _text(content), reasoning


def _text(content: Any) -> str:
    """A text, or the parts of one."""
    if isinstance(content, list):
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise TypeError(f"{type(content).__name__} where a text is needed")
    return content
