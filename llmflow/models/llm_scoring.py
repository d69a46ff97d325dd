"""Log-probabilities of labels as the first token of an answer.

A label is a text that is exactly one token where the answer starts, so that one generated token
tells how likely each label is. vLLM gives the log-probabilities of the very tokens asked for
(``logprob_token_ids``, up to 128); other servers give those of the 20 likeliest, if any.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmflow.errors import ConfigurationError, UpstreamError
from llmflow.models.serving import ModelServer

MAX_LABELS = 128
_TOP = 20
"""Log-probabilities the OpenAI API gives at most."""
_TOKEN_ID = "token_id:"
_ABSENT = frozenset({404, 405, 501})
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Label:
    """A text and its token's id; None where the server does not tell ids."""

    text: str
    token: int | None


@dataclass(frozen=True, slots=True)
class LabelLogprobs:
    """How likely each label was as the first token of the answer, in the order asked.

    ``logprobs`` are over the whole vocabulary, None for a label that did not come back; that one is
    at most ``floor``: the least of those that came back, and what they leave of the probability.
    Token counts are 0 where the server does not count.
    """

    logprobs: tuple[float | None, ...]
    floor: float
    prompt_tokens: int
    completion_tokens: int


def find_labels(
    server: ModelServer, texts: Sequence[str], model: str, template: Mapping[str, Any], deadline: float | None
) -> tuple[Label, ...]:
    """The labels with their token ids, from vLLM's ``/tokenize``.

    A tokenizer may join what stands at the end of the prompt with the label after it, so each
    label is tokenised where it will stand: after the chat template's start of an answer.

    Args:
        server: addressed at its root, above ``/v1``.
        template: further arguments of the chat template.

    Raises:
        ConfigurationError: a label is not exactly one token, or two are the same token.
        UpstreamError: the server failed.
    """
    try:
        messages = [{"role": "user", "content": "?"}]
        prompt = _tokenize(server, {"model": model, "messages": messages, **template}, deadline)
        start: str = server.post("/detokenize", {"model": model, "tokens": prompt}, deadline)["prompt"]
        before = _tokenize(server, {"model": model, "prompt": start, "add_special_tokens": False}, deadline)
        labels = []
        for text in texts:
            body = {"model": model, "prompt": start + text, "add_special_tokens": False}
            tokens = _tokenize(server, body, deadline)
            if len(tokens) != len(before) + 1 or tokens[: len(before)] != before:
                raise ConfigurationError(
                    f"the label {text!r} is not exactly one token where an answer of {model} starts"
                    f" ({len(tokens) - len(before)} tokens); use another reranker.method (permutation needs no labels),"
                    " or serve a model whose tokenizer has this label",
                    param="reranker.method",
                    label=text,
                )
            labels.append(Label(text, tokens[-1]))
    except UpstreamError as error:
        if error.details.get("status") not in _ABSENT:
            raise
        return unchecked_labels(server, texts)
    except (KeyError, TypeError):
        raise UpstreamError(
            f"{server.base_url}/tokenize answered in another form than vLLM's; check that llm.base_url is right",
            param="llm.base_url",
        ) from None
    if len({label.token for label in labels}) < len(labels):
        raise ConfigurationError(
            f"two of the labels {', '.join(texts)} are the same token of {model}; use reranker.method=permutation,"
            " which needs no labels",
            param="reranker.method",
        )
    return tuple(labels)


def unchecked_labels(server: ModelServer, texts: Sequence[str]) -> tuple[Label, ...]:
    """The labels by their text alone, which is logged."""
    _logger.warning("%s tells no tokens: whether labels are single tokens is not checked", server.base_url)
    return tuple(Label(text, None) for text in texts)


def label_options(labels: Sequence[Label]) -> dict[str, Any]:
    """The fields of a request that asks for the labels' log-probabilities.

    Raises:
        ValueError: there are no labels, or more than ``MAX_LABELS``.
    """
    if not 1 <= len(labels) <= MAX_LABELS:
        raise ValueError(f"{len(labels)} labels; allowed are 1 to {MAX_LABELS}")
    options: dict[str, Any] = {"max_tokens": 1, "logprobs": True}
    ids = [label.token for label in labels if label.token is not None]
    return options | ({"logprob_token_ids": ids, "return_tokens_as_token_ids": True} if ids else {"top_logprobs": _TOP})


def read_label_logprobs(
    choice: Mapping[str, Any], labels: Sequence[Label]
) -> tuple[tuple[float | None, ...], float] | None:
    """The labels' log-probabilities and the floor of the others, from a choice of a chat completion.

    Tokens that are a label but for white space around it count as that label.

    Returns:
        None where the choice has no log-probabilities.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is malformed.
    """
    content = (choice.get("logprobs") or {}).get("content")
    if not content:
        return None
    first = content[0]
    found = {entry["token"]: float(entry["logprob"]) for entry in [*(first.get("top_logprobs") or ()), first]}
    if not all(value <= 1e-3 for value in found.values()):
        raise ValueError(f"log-probabilities above 0: {found}")
    logprobs = tuple(_logprob(label, found) for label in labels)
    rest = 1 - math.fsum(math.exp(value) for value in found.values())
    floor = min(min(found.values()), math.log(max(rest, 1e-12)))
    return logprobs, floor


def _logprob(label: Label, found: Mapping[str, float]) -> float | None:
    if label.token is not None:
        return found.get(f"{_TOKEN_ID}{label.token}")
    forms = [math.exp(value) for token, value in found.items() if token.strip() == label.text]
    return math.log(max(math.fsum(forms), 1e-300)) if forms else None


def _tokenize(server: ModelServer, body: Mapping[str, Any], deadline: float | None) -> list[int]:
    return [int(token) for token in server.post("/tokenize", body, deadline)["tokens"]]
