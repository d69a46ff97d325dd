"""Dify's messages and tools in OpenAI's form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dify_plugin.entities.model.message import (
    AssistantPromptMessage,
    PromptMessage,
    PromptMessageRole,
    PromptMessageTool,
    TextPromptMessageContent,
    ToolPromptMessage,
)
from dify_plugin.errors.model import InvokeBadRequestError
from llmflow_client.credentials import Credentials

_ROLES = {PromptMessageRole.DEVELOPER: "system"}
"""What OpenAI calls developer, the templates of open models call system."""


def openai_messages(messages: Sequence[PromptMessage], model: str, credentials: Credentials) -> list[dict[str, Any]]:
    """The conversation.

    Raises:
        InvokeBadRequestError: there is a picture or another file in it.
    """
    return [_message(message, model, credentials) for message in messages]


def openai_tools(tools: Sequence[PromptMessageTool]) -> list[dict[str, Any]]:
    """The tools that may be called."""
    return [{"type": "function", "function": tool.model_dump()} for tool in tools]


def _message(message: PromptMessage, model: str, credentials: Credentials) -> dict[str, Any]:
    form: dict[str, Any] = {
        "role": _ROLES.get(message.role, message.role.value),
        "content": _text(message, model, credentials),
    }
    if isinstance(message, AssistantPromptMessage) and message.tool_calls:
        form["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function.name, "arguments": call.function.arguments},
            }
            for call in message.tool_calls
        ]
    if isinstance(message, ToolPromptMessage):
        form["tool_call_id"] = message.tool_call_id
    return form


def _text(message: PromptMessage, model: str, credentials: Credentials) -> str:
    if not isinstance(message.content, list):
        return message.content or ""
    parts = [part.data for part in message.content if isinstance(part, TextPromptMessageContent)]
    if len(parts) < len(message.content):
        kinds = {part.type.value for part in message.content if not isinstance(part, TextPromptMessageContent)}
        raise InvokeBadRequestError(credentials.say("text_only", model=model, kinds=", ".join(sorted(kinds))))
    return "\n".join(parts)
