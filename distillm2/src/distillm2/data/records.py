"""What the data tools pass on: prompts, as messages, and what makes two of them the same."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FORMS = '{"prompt": ...}, {"instruction": ..., "input": ...} or {"messages": [{"role": ..., "content": ...}]}'


@dataclass(frozen=True)
class Message:
    """One turn of a conversation; ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """What a model is asked: an optional system message, earlier turns, and the user's last message."""

    messages: tuple[Message, ...]

    @property
    def system(self) -> str:
        """The system message, or nothing."""
        return self.messages[0].content if self.messages[0].role == "system" else ""

    @property
    def turns(self) -> tuple[Message, ...]:
        """The messages without the system message: user, assistant, ..., user."""
        return self.messages[1:] if self.messages[0].role == "system" else self.messages

    @property
    def key(self) -> str:
        """The same for prompts that differ in white space or Unicode composition only."""
        return digest([[message.role, normalised(message.content)] for message in self.messages])

    def as_json(self) -> list[dict[str, str]]:
        """The messages in the form that chat completions take."""
        return [{"role": message.role, "content": message.content} for message in self.messages]


def digest(value: Any) -> str:
    """32 hexadecimal digits of SHA-256 over the value's JSON."""
    written = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(written.encode()).hexdigest()[:32]


def normalised(text: str) -> str:
    """NFC, with every run of white space made one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def parse_prompt(row: Any) -> Prompt:
    """The prompt of one row, in any of the three forms; ``instruction`` and ``input`` are joined as in training.

    Messages that end with an assistant's turn are taken up to the user's turn before it: that is what is asked.

    Raises:
        ValueError: what is wrong with the row; the caller knows the file and the line.
    """
    if not isinstance(row, Mapping):
        raise ValueError(f"an object is needed, in one of the forms {FORMS}")
    given = [form for form in ("prompt", "instruction", "messages") if row.get(form)]
    if not given and "instruction" in row and row.get("input"):
        given = ["instruction"]  # LLaMA-Factory trains on such rows
    if len(given) != 1:
        raise ValueError(f"{'no prompt' if not given else ' and '.join(given)}; a row has exactly one of {FORMS}")
    if given == ["messages"]:
        return as_prompt(messages_of(row["messages"], "role", "content"), row.get("system"))
    turns = [
        Message(role, text)
        for exchange in row.get("history") or ()
        for role, text in zip(("user", "assistant"), exchange, strict=True)
    ]
    parts = [row["prompt"]] if given == ["prompt"] else [row["instruction"], row.get("input")]
    if not all(isinstance(part, str) for part in parts if part):
        raise ValueError(f"{given[0]} must be text")
    return as_prompt([*turns, Message("user", "\n".join(part for part in parts if part))], row.get("system"))


def messages_of(value: Any, role: str, content: str) -> list[Message]:
    """The messages of a list of objects whose role and text stand under the two given names."""
    if not isinstance(value, list) or not all(isinstance(turn, Mapping) for turn in value):
        raise ValueError("messages must be a list of objects")
    return [Message(str(turn.get(role)), turn.get(content, "")) for turn in value]


def as_prompt(messages: Iterable[Message], system: str | None = None) -> Prompt:
    """The checked prompt: an optional system message, then user and assistant by turns, the user last."""
    all_of_them = list(messages)
    if system:
        all_of_them.insert(0, Message("system", system))
    if all_of_them and all_of_them[-1].role == "assistant":
        all_of_them.pop()
    prompt = Prompt(tuple(all_of_them))
    turns = prompt.turns if all_of_them else ()
    roles = [turn.role for turn in turns]
    if not turns or roles != ["user", "assistant"] * (len(turns) // 2) + ["user"]:
        raise ValueError(f"roles {roles}; after an optional system message user and assistant take turns, user last")
    for turn in prompt.messages:
        if not isinstance(turn.content, str) or not turn.content.strip():
            raise ValueError(f"the {turn.role} message is {turn.content!r}; text is needed")
        turn.content.encode()  # half a surrogate pair cannot be sent
    return prompt
