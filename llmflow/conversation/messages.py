"""A message of a chat, and its form at rest."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import TypeAdapter

from llmflow import korean
from llmflow.schema import Answer, Citation

FORMAT = 1
"""Version of the stored form; another version is another key, so that no message is ever misread."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """What a user asked, or what was answered; personal data is masked in both.

    ``tokens`` is estimated (:func:`llmflow.korean.count_tokens`). ``standalone`` is what a
    question was understood as, where that is not what was asked. ``citations``, ``mode`` and
    ``trace_id`` are the answer's.
    """

    id: str
    role: Literal["user", "assistant"]
    content: str
    timestamp: datetime
    tokens: int
    standalone: str | None = None
    citations: tuple[Citation, ...] = ()
    trace_id: str | None = None
    mode: Literal["generative", "extractive", "abstained"] | None = None

    @property
    def question(self) -> str:
        """The question as it stands alone."""
        return self.standalone or self.content


def asked(question: str, standalone: str | None = None) -> ChatMessage:
    """A user's message of this moment; both texts masked."""
    return ChatMessage(_id(), "user", question, datetime.now(UTC), korean.count_tokens(question), standalone)


def answered(answer: Answer) -> ChatMessage:
    """An answer's message of this moment."""
    return ChatMessage(
        _id(),
        "assistant",
        answer.text,
        datetime.now(UTC),
        korean.count_tokens(answer.text),
        citations=answer.citations,
        trace_id=answer.trace_id,
        mode=answer.mode,
    )


def encode(message: ChatMessage) -> bytes:
    """A message as JSON."""
    return _MESSAGES.dump_json(message)


def decode(data: bytes) -> ChatMessage:
    """The message that :func:`encode` wrote."""
    return _MESSAGES.validate_json(data)


def _id() -> str:
    return uuid.uuid4().hex


_MESSAGES: TypeAdapter[ChatMessage] = TypeAdapter(ChatMessage)
