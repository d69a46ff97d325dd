"""The models of the LLM's endpoint for callers of LLMFlow: what it serves, and its completions as it writes them.

:class:`~llmflow.models.llm.LLMClient` asks what LLMFlow itself wants to know. Here the question is a caller's and
may take minutes, so that it takes no thread; nothing is tried again, as the caller's own client does that.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy
from itertools import islice
from typing import TYPE_CHECKING, Any

from llmflow.errors import InvalidInputError, LLMFlowError, NotFoundError, UpstreamError
from llmflow.models.breaker import CircuitBreaker
from llmflow.models.passing import Endpoint, PassedAnswer, is_away
from llmflow.models.serving import excerpt, retry_after_s
from llmflow.settings import LLMSettings

if TYPE_CHECKING:
    import httpx

SHORT_S = 3.0
"""Seconds for what a caller waits for in passing: a list of models, a count of tokens."""

_WORDS_CHARS = 2_000
_PARAM_CHARS = 100
_NAMED = 20
_NO_SUCH_PATH = frozenset({404, 405, 501})
_KEPT_S = 2.0
"""Seconds a connection may be idle: less than vLLM allows (5), lest it closes one just as it is used."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model of the endpoint. ``parent`` is the model an adapter belongs to; ``created`` is a Unix time."""

    id: str
    owned_by: str
    created: int = 0
    parent: str | None = None
    max_model_len: int | None = None


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of a prompt as its model reads it; ``count`` is None where the endpoint does not tell."""

    count: int | None
    max_model_len: int | None


class Gateway:
    """The endpoint at ``base_url``, for one event loop; its circuit breaker is that of passed completions.

    Args:
        base_url: ``settings.base_url``, which is set.
    """

    def __init__(self, base_url: str, settings: LLMSettings) -> None:
        self.breaker = CircuitBreaker(settings)
        self._settings = settings
        self._endpoint = Endpoint(base_url.rstrip("/"), settings.timeout_s)
        self._served: Mapping[str, ServedModel] = {}

    async def models(self, within_s: float = SHORT_S) -> tuple[ServedModel, ...]:
        """What the endpoint serves now; of one that keeps no list, the model of the settings.

        Raises:
            UpstreamError: it does not tell within ``within_s``.
        """
        try:
            listed = _models_in(await self._json("GET", f"{self._endpoint.url}/models", within_s))
        except UpstreamError as error:
            if error.details.get("status") not in _NO_SUCH_PATH:
                raise
            listed = (ServedModel(self._settings.model, "unknown"),)
        if listed is None:
            raise self._endpoint.error("sent no list of models; check that llm.base_url is an OpenAI-compatible API")
        self._served = {model.id: model for model in listed}
        return listed

    async def open(self, model: str, body: bytes) -> PassedAnswer:
        """Send a chat completion's request on; the answer's beginning is there, and the caller closes it.

        Args:
            model: what ``body`` asks for.
            body: the request as it came, JSON.

        Raises:
            InvalidInputError: the endpoint refuses the request; the message has its words.
            NotFoundError: it serves no such model; the message names those it serves.
            UpstreamError: it cannot be reached, fails, is silent for ``timeout_s``, or its breaker is open.
        """
        if wait := self.breaker.wait_s():
            raise self._endpoint.error(
                f"failed {self._settings.breaker_failures} times within {self._settings.breaker_window_s:g} s and is"
                f" left alone for {wait:.0f} s; look at its log",
                retry_after_s=round(wait, 3),
            )
        try:
            await self.served(model, self._settings.timeout_s)
            answer = await self._send("POST", f"{self._endpoint.url}/chat/completions", body)
        except LLMFlowError as error:
            self._count(error)
            raise await self._explained(error, model) from error.__cause__
        self.breaker.succeeded()
        return PassedAnswer(answer, self._endpoint, self.breaker.failed)

    async def count_tokens(self, model: str, prompt: Mapping[str, Any]) -> TokenCount:
        """Tokens of a prompt; only vLLM tells.

        Args:
            model: one of the endpoint's.
            prompt: ``prompt``, or ``messages`` with perhaps ``tools``.

        Raises:
            InvalidInputError: the endpoint refuses the prompt; the message has its words.
            NotFoundError: it serves no such model.
        """
        window = None
        body = json.dumps({"model": model, **prompt}).encode()
        try:
            served = await self.served(model)
            window = served.max_model_len
            if served.owned_by == "vllm":  # its own paths are above /v1
                found = await self._json("POST", f"{self._endpoint.url.removesuffix('/v1')}/tokenize", SHORT_S, body)
                return TokenCount(int(found["count"]), _whole_number(found.get("max_model_len")) or window)
        except UpstreamError as error:
            if isinstance(explained := await self._explained(error, model), NotFoundError):
                raise explained from None
        except (LookupError, TypeError, ValueError, OverflowError, AttributeError):
            pass  # no count
        return TokenCount(None, window)

    async def served(self, model: str, within_s: float = SHORT_S) -> ServedModel:
        """A model by its name. One the last list had may have gone since.

        Raises:
            NotFoundError: it is not served; the message names those that are.
            UpstreamError: the endpoint does not tell within ``within_s``.
        """
        if model not in self._served:
            await self.models(within_s)
        if model not in self._served:
            raise self._unknown(model)
        return self._served[model]

    def has_listed(self, model: str) -> bool:
        """Whether the last list had the model."""
        return model in self._served

    async def aclose(self) -> None:
        """Close the connections."""
        if (http := self.__dict__.pop("_http", None)) is not None:
            await http.aclose()

    async def _explained(self, error: LLMFlowError, model: str) -> LLMFlowError:
        """``error``, unless the endpoint means that the model has gone."""
        if error.details.get("status") != 404:
            return error
        try:
            await self.models()
        except UpstreamError as away:
            return away
        return error if model in self._served else self._unknown(model)

    def _unknown(self, model: str) -> NotFoundError:
        names = ", ".join(repr(excerpt(name)) for name in islice(self._served, _NAMED)) or "none"
        more = f" and {len(self._served) - _NAMED:,} more" if len(self._served) > _NAMED else ""
        return NotFoundError(
            f"there is no model {excerpt(model)!r}; the LLM endpoint serves {names}{more}", param="model"
        )

    async def _json(self, method: str, url: str, within_s: float, body: bytes | None = None) -> Any:
        try:
            async with asyncio.timeout(within_s):
                answer = PassedAnswer(await self._send(method, url, body), self._endpoint, lambda: None)
                async with aclosing(answer):
                    return json.loads(await answer.read())
        except TimeoutError:
            raise self._endpoint.error(f"gave no answer within {within_s:g} s; look at its load") from None

    async def _send(self, method: str, url: str, body: bytes | None = None) -> httpx.Response:
        """A response that is a success, its content not read yet."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        with self._endpoint.called():
            response = await self._http.send(
                self._http.build_request(method, url, content=body, headers=headers), stream=True
            )
            if response.status_code == 200:
                return response
            try:
                await response.aread()
            finally:
                await response.aclose()
        raise self._refusal(response)

    def _refusal(self, response: httpx.Response) -> LLMFlowError:
        status, (words, param) = response.status_code, _words(response.text)
        if status in (400, 413, 422):
            return InvalidInputError(f"the LLM endpoint refuses the request: {words}", param=param)
        details: dict[str, Any] = {"status": status}
        if (wait := retry_after_s(response.headers)) is not None:
            details["retry_after_s"] = wait
        match status:
            case 401 | 403:
                advice = "check llm.api_key"
            case 404:
                advice = "check llm.base_url (it usually ends in /v1)"
            case _:
                advice = "try later or look at its log"
        return self._endpoint.error(f"answered HTTP {status} ({excerpt(words)}); {advice}", **details)

    def _count(self, error: LLMFlowError) -> None:
        """Tell the breaker what a call shows of the endpoint: one that refuses it, or fails at it alone, is there."""
        if isinstance(error, UpstreamError) and is_away(error):
            self.breaker.failed()
        elif isinstance(error, InvalidInputError) or "status" in error.details:
            self.breaker.succeeded()
        else:
            self.breaker.undecided()

    @cached_property
    def _http(self) -> httpx.AsyncClient:
        import httpx

        key = self._settings.api_key
        return httpx.AsyncClient(
            headers={"Accept-Encoding": "identity"}
            | ({"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}),
            timeout=httpx.Timeout(self._settings.timeout_s, pool=None),
            limits=httpx.Limits(max_connections=None, keepalive_expiry=_KEPT_S),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # one caller's would go with the next one's
        )


def _models_in(listed: Any) -> tuple[ServedModel, ...] | None:
    """The models of a list in OpenAI's form, adapters with the window of their parent; None if it is no such list."""
    try:
        entries = {str(each["id"]): each for each in listed["data"]}
        return tuple(
            ServedModel(
                name,
                str(each.get("owned_by") or "unknown"),
                _whole_number(each.get("created")) or 0,
                None if (parent := each.get("parent")) is None else str(parent),
                _whole_number(each.get("max_model_len") or entries.get(parent, {}).get("max_model_len")),
            )
            for name, each in entries.items()
        )
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


def _whole_number(value: Any) -> int | None:
    """A number as one; None for what is none."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _words(text: str) -> tuple[str, str | None]:
    """What an endpoint says of an error, and the argument it blames."""
    try:
        body = json.loads(text)
        error = body.get("error", body)
        param, message = error.get("param"), str(error["message"])
        if len(message) > _WORDS_CHARS:
            message = message[:_WORDS_CHARS] + "..."
        return message, param if isinstance(param, str) and len(param) <= _PARAM_CHARS else None
    except (ValueError, LookupError, AttributeError):
        return excerpt(text), None
