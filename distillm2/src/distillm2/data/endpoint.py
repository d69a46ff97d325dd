"""A client of any OpenAI-compatible endpoint: retries with backoff, keys from the environment only."""

from __future__ import annotations

import asyncio
import email.utils
import ipaddress
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from distillm2.errors import DistillationError

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
REFUSED = frozenset({401, 403, 404})
LONGEST_WAIT = 300.0


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
        parts = urlsplit(self.url)
        if parts.username or parts.password or parts.query:
            raise DistillationError("An endpoint's address must hold no password or query: use --api-key-env.")
        if parts.scheme not in ("http", "https") or not parts.hostname:
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
    """One request failed for good; its record says why, and the next start asks again."""


def key_from_environment(name: str | None, default: str) -> str | None:
    """The key in the variable ``name``, which must be set; when no name is given, that in ``default``, if any."""
    if name is None:
        return os.environ.get(default) or None
    if not os.environ.get(name):
        raise DistillationError(f"The environment variable {name} is not set: export it, or name another.")
    return os.environ[name]


class Client:
    """Asks one endpoint, with at most ``concurrency`` connections; use as ``async with``."""

    def __init__(self, endpoint: Endpoint, concurrency: int) -> None:
        """Nothing is sent yet."""
        self.endpoint = endpoint
        headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
        self._http = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(endpoint.timeout, connect=10.0, pool=None),
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
        choice, tokens = await self._ask("/chat/completions", body, sampling)
        message = choice.get("message") or {}
        reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
        return _answer(message.get("content"), choice, tokens, reasoning)

    async def complete(self, token_ids: Sequence[int], stop: Sequence[str], sampling: Sampling) -> Answer:
        """The continuation of a prompt given as token ids, so that the server tokenizes nothing anew."""
        body: dict[str, Any] = {"prompt": list(token_ids)}
        if stop:
            body["stop"] = list(stop)
        choice, tokens = await self._ask("/completions", body, sampling)
        return _answer(choice.get("text"), choice, tokens, "")

    async def _ask(self, path: str, body: dict[str, Any], sampling: Sampling) -> tuple[dict[str, Any], int]:
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
            return dict(choice), int((parsed.get("usage") or {}).get("completion_tokens") or 0)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise RequestError(f"not an answer in OpenAI's form: {self._said(response.text)}") from error

    async def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        problem = ""
        for attempt in range(1, self.endpoint.attempts + 1):
            wait = min(30.0, 0.5 * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
            try:
                response = await self._http.post(self.endpoint.url + path, json=body)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__} {error}".strip()
            else:
                if response.is_success:
                    return response
                problem = f"HTTP {response.status_code}: {self._said(response.text)}"
                if response.status_code in REFUSED:
                    raise DistillationError(
                        f"{self.endpoint.url}{path} refused model {self.endpoint.model!r} with {problem}. "
                        "Check --endpoint, --model and the key's environment variable."
                    )
                if response.status_code not in RETRIED:
                    raise RequestError(problem)
                wait = max(wait, retry_after(response.headers.get("Retry-After", "")))
            if attempt < self.endpoint.attempts:
                await asyncio.sleep(min(wait, LONGEST_WAIT))
        raise RequestError(f"{problem} (asked {self.endpoint.attempts} times)")

    def _said(self, text: str) -> str:
        # Some servers quote the key in their error.
        return (text.replace(self.endpoint.api_key, "***") if self.endpoint.api_key else text)[:300]


def retry_after(header: str) -> float:
    """Seconds that a Retry-After header asks to wait: it holds seconds or a date; 0 when it holds neither."""
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return 0.0


def _answer(text: Any, choice: Mapping[str, Any], tokens: int, reasoning: str) -> Answer:
    return Answer(text if isinstance(text, str) else "", choice.get("finish_reason") == "length", tokens, reasoning)
