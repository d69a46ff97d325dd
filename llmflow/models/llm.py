"""A small client of any OpenAI-compatible chat endpoint.

Plain httpx instead of the ``openai`` package: what matters here (a deadline for the whole
answer, streams that end early, chunks that are no chunks, no headers taken from
``OPENAI_*`` variables) is not done there, and importing it costs a second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmflow.errors import ConfigurationError, UpstreamError
from llmflow.models.llm_scoring import (
    Label,
    LabelLogprobs,
    find_labels,
    label_options,
    read_label_logprobs,
    unchecked_labels,
)
from llmflow.models.llm_streaming import Message, StreamingEndpoint, TokenStream, Usage, without_thoughts
from llmflow.models.serving import ModelServer, excerpt
from llmflow.settings import LLMSettings

__all__ = ["Completion", "LLMClient", "Label", "LabelLogprobs", "Message", "TokenStream", "Usage"]

_SEED = 0
_NO_MODEL_LIST = frozenset({404, 405, 501})


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer. ``finish_reason`` is "length" where ``max_tokens`` cut it off."""

    text: str
    finish_reason: str | None
    usage: Usage


class LLMClient:
    """Chat completions from ``settings.base_url``; safe between threads.

    Streamed answers and whole calls have a circuit breaker each: calls with a short deadline that
    were too late do not stop answers.

    Raises:
        ConfigurationError: ``settings.base_url`` is not set.
    """

    def __init__(self, settings: LLMSettings) -> None:
        if not settings.base_url:
            raise ConfigurationError(
                "llm.base_url is not set; give the endpoint's address, e.g. http://localhost:8000/v1",
                param="llm.base_url",
            )
        self.settings = settings
        self._streaming = StreamingEndpoint(settings.base_url, settings)
        address = settings.base_url.rstrip("/")
        root = address.removesuffix("/v1")  # vLLM's own paths are above /v1
        self._api = address.removeprefix(root)
        self._server = ModelServer("LLM endpoint", root, settings.api_key, settings, "llm.base_url")
        self._is_vllm: bool | None = None

    def stream(self, messages: Sequence[Message]) -> TokenStream:
        """Generate an answer piece by piece; the call is made when the first piece is asked for.

        ``<think>`` blocks at the start are left out.

        Raises:
            UpstreamError: while iterating; the endpoint cannot be reached, refuses the call,
                answers in no known form, ends early, ``timeout_s`` is over, or the breaker is open.
        """
        return TokenStream(self._streaming, messages)

    def complete(self, messages: Sequence[Message]) -> str:
        """Generate a whole answer; errors as :meth:`stream`."""
        return "".join(self.stream(messages))

    def complete_text(
        self,
        messages: Sequence[Message],
        max_tokens: int,
        model: str | None = None,
        deadline: float | None = None,
        pattern: str | None = None,
    ) -> Completion:
        """Generate a whole answer at temperature 0, without thinking first.

        Args:
            model: served model or adapter; default from the settings.
            deadline: ``time.monotonic()`` at which it must be there; ``timeout_s`` from now at most.
            pattern: regular expression the answer matches in full. Only vLLM keeps to it; other
                servers are not told.

        Raises:
            UpstreamError: the endpoint cannot be reached, refuses the call, answers in another
                form or too late, or its breaker is open.
        """
        options: dict[str, Any] = {"max_tokens": max_tokens}
        if pattern is not None and self.is_vllm(deadline):
            options["structured_outputs"] = {"regex": pattern}
        reply = self._chat(messages, model, deadline, options)
        return self._completion(reply)

    def complete_json(
        self, messages: Sequence[Message], schema: Mapping[str, Any], deadline: float | None = None
    ) -> dict[str, Any]:
        """Generate a JSON object that follows a JSON schema, of at most ``max_tokens`` tokens.

        Whether it does follow the schema is for the caller to check: servers differ in what of a
        schema they keep to.

        Raises:
            UpstreamError: as :meth:`complete_text`, and where the answer is no JSON object.
        """
        form = {"name": "answer", "schema": dict(schema), "strict": True}
        options = {
            "max_tokens": self.settings.max_tokens,
            "response_format": {"type": "json_schema", "json_schema": form},
        }
        completion = self._completion(self._chat(messages, None, deadline, options))
        try:
            value = json.loads(completion.text)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            advice = (
                "raise llm.max_tokens" if completion.finish_reason == "length" else "check that it takes json_schema"
            )
            raise self._error(f"was asked for a JSON object and wrote {excerpt(completion.text)!r}; {advice}")
        return value

    def find_labels(
        self, texts: Sequence[str], model: str | None = None, deadline: float | None = None
    ) -> tuple[Label, ...]:
        """Labels for :meth:`label_logprobs`: each is checked to be exactly one token where an answer starts.

        Where the server does not tell (only vLLM does), that is logged and the labels go unchecked.

        Raises:
            ConfigurationError: a label is not exactly one token of the served tokenizer.
            UpstreamError: as :meth:`complete_text`.
        """
        if not self.is_vllm(deadline):
            return unchecked_labels(self._server, texts)
        return find_labels(self._server, texts, model or self.settings.model, self._template(deadline), deadline)

    def label_logprobs(
        self,
        messages: Sequence[Message],
        labels: Sequence[Label],
        model: str | None = None,
        deadline: float | None = None,
    ) -> LabelLogprobs:
        """How likely each label is as the first token of the answer; one token is generated.

        Raises:
            UpstreamError: as :meth:`complete_text`, and where the answer has no log-probabilities.
            ValueError: there are no labels, or more than 128.
        """
        reply = self._chat(messages, model, deadline, label_options(labels))
        try:
            found = read_label_logprobs(reply["choices"][0], labels)
            usage = _usage(reply)
        except (LookupError, TypeError, ValueError, AttributeError):
            raise self._malformed(reply) from None
        if found is None:
            raise self._error("gave no log-probabilities; use reranker.method=permutation, which needs none")
        logprobs, floor = found
        return LabelLogprobs(logprobs, floor, usage.prompt_tokens, usage.completion_tokens)

    def is_vllm(self, deadline: float | None = None) -> bool:
        """Whether the endpoint is vLLM, as its list of models says; asked once.

        Raises:
            UpstreamError: as :meth:`complete_text`.
        """
        if self._is_vllm is None:
            try:
                models = self._server.get(f"{self._api}/models", deadline)["data"]
                self._is_vllm = any(model.get("owned_by") == "vllm" for model in models)
            except UpstreamError as error:
                if error.details.get("status") not in _NO_MODEL_LIST:
                    raise
                self._is_vllm = False
            except (KeyError, TypeError, AttributeError):
                self._is_vllm = False
        return self._is_vllm

    def close(self) -> None:
        """Close the connections of whole calls."""
        self._server.close()

    def _chat(
        self, messages: Sequence[Message], model: str | None, deadline: float | None, options: Mapping[str, Any]
    ) -> Any:
        body = {
            "model": model or self.settings.model,
            "messages": list(messages),
            "temperature": 0,
            "seed": _SEED,
            **self._template(deadline),
            **options,
        }
        return self._server.post(f"{self._api}/chat/completions", body, deadline)

    def _template(self, deadline: float | None) -> dict[str, Any]:
        # Qwen3 and its like think before they answer; the chat template of others ignores this.
        return {"chat_template_kwargs": {"enable_thinking": False}} if self.is_vllm(deadline) else {}

    def _completion(self, reply: Any) -> Completion:
        try:
            choice = reply["choices"][0]
            text = "".join(without_thoughts(iter([choice["message"].get("content") or ""])))
            return Completion(text, choice.get("finish_reason"), _usage(reply))
        except (LookupError, TypeError, ValueError, AttributeError):
            raise self._malformed(reply) from None

    def _malformed(self, reply: Any) -> UpstreamError:
        return self._error(
            f"answered with no chat completion: {excerpt(json.dumps(reply, ensure_ascii=False))}; check that"
            " llm.base_url is an OpenAI-compatible API"
        )

    def _error(self, what: str) -> UpstreamError:
        return UpstreamError(f"LLM endpoint {self.settings.base_url}: {what}", param="llm.base_url")


def _usage(reply: Any) -> Usage:
    usage = reply.get("usage") or {}
    return Usage(int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))
