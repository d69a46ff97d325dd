"""How much text a model takes, estimated: no tokenizer of the selected model is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dify_plugin.entities.model import ModelPropertyKey
from dify_plugin.entities.model.message import AssistantPromptMessage, PromptMessage
from dify_plugin.interfaces.agent import AgentModelConfig

from orchestration.words import Words

_UNKNOWN_CONTEXT = 8_192
_MOST_CONTEXT = 200_000
"""Tokens; Dify's daemon kills a plugin that writes a line of over 5 MB."""
_ANSWER = 2_048
_SHORTENED = 150
"""Tokens left of an old message that has to give way."""
_MESSAGE = 8
"""What a chat template adds to a message."""


def tokens(text: str) -> int:
    """An estimate on the safe side: one for a Hangul syllable, one for four letters of Latin script."""
    wide = (len(text.encode("utf-8", "ignore")) - len(text)) // 2
    return wide + (len(text) - wide) // 4 + 1


def room_of(config: AgentModelConfig) -> int:
    """Tokens of prompt that the model takes beside its answer, 8,192 in all where its context size is unknown.

    Raises:
        ValueError: a size is no number; says which.
    """
    size = config.entity.model_properties.get(ModelPropertyKey.CONTEXT_SIZE) if config.entity else None
    context = min(_whole("context_size", size or _UNKNOWN_CONTEXT), _MOST_CONTEXT)
    answer = _whole("max_tokens", config.completion_params.get("max_tokens") or _ANSWER)
    return max(context - answer, context // 2)


def cut(text: str, limit: int, words: Words) -> str:
    """The text's beginning within ``limit`` tokens, saying so where it is not all of it."""
    total = tokens(text)
    if total <= limit:
        return text
    kept = len(text) * max(limit, 0) // total
    return text[:kept] + words.cut.format(kept=kept, all=len(text))


def fit(
    head: Sequence[PromptMessage], rest: Sequence[PromptMessage], room: int, words: Words
) -> tuple[list[PromptMessage], int]:
    """Messages that fit into ``room`` tokens, and how many had to be shortened for it.

    The oldest give way first; the first and the last of ``rest``, the question and what was said last, stay.

    Args:
        head: system prompt, then the conversation before the question.
    """
    messages = [*head, *rest]
    spared = {0, len(head), len(messages) - 1}
    excess = sum(map(_tokens, messages)) - room
    shortened = 0
    for index, message in enumerate(messages):
        if excess <= 0:
            break
        shorter = message.model_copy(update={"content": cut(text_of(message), _SHORTENED, words)})
        if index not in spared and (saved := _tokens(message) - _tokens(shorter)) > 0:
            messages[index] = shorter
            excess -= saved
            shortened += 1
    return messages, shortened


def text_of(message: PromptMessage) -> str:
    """What a message says; files and pictures in it are left out."""
    if isinstance(message.content, list):
        return "".join(part.data for part in message.content if part.type == "text")
    return message.content or ""


def _whole(name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}: {value!r}") from None


def _tokens(message: PromptMessage) -> int:
    calls = message.tool_calls if isinstance(message, AssistantPromptMessage) else ()
    return _MESSAGE + tokens(text_of(message)) + sum(tokens(call.function.arguments) for call in calls)
