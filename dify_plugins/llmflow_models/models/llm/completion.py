"""An answer as it comes in: what of it is shown, the tools it calls, what it cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dify_plugin.entities.model.message import AssistantPromptMessage
from llmflow_client.credentials import Credentials

Wrap = Callable[[dict[str, Any], bool], tuple[str, bool]]
"""The SDK's helper that puts thoughts between ``<think>`` tags: from a delta and whether a thought is open to the
text and whether one is open now."""


class Completion:
    """Takes the chunks of a streamed answer, or a whole answer as the only one.

    Attributes:
        finish_reason: why the model stopped; None before it did.
        prompt_tokens, completion_tokens: as the server counted them.
    """

    def __init__(self, credentials: Credentials, wrap: Wrap) -> None:
        self.finish_reason: str | None = None
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self._credentials = credentials
        self._wrap = wrap
        self._thinking = False
        self._calls: dict[int, dict[str, str]] = {}
        self._notes: list[str] = []

    def take(self, chunk: dict[str, Any]) -> str:
        """Take a chunk; the text to show for it."""
        if usage := chunk.get("usage"):
            self.prompt_tokens = usage["prompt_tokens"]
            self.completion_tokens = usage.get("completion_tokens") or 0
        more = chunk.get("llmflow") or {}
        if not (choices := chunk.get("choices")):
            return ""
        choice = choices[0]
        delta = choice.get("delta") or choice.get("message") or {}
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        for number, call in enumerate(delta.get("tool_calls") or ()):
            self._take_call(call, number)
        self._note(delta, more)
        if "discarded" in more:
            return f"\n\n{self._credentials.say('discarded')}\n\n"
        return self._shown(delta)

    def rest(self) -> str:
        """The text that follows once the answer is complete: the end of a thought, sources, notes."""
        end, self._thinking = self._wrap({}, self._thinking)
        return end + "".join(f"\n\n{note}" for note in self._notes)

    def tool_calls(self) -> list[AssistantPromptMessage.ToolCall]:
        """The tools to call, whole: whoever reads them in Dify parses each piece's arguments."""
        return [
            AssistantPromptMessage.ToolCall(
                id=call["id"] or f"call_{index}",
                type="function",
                function=AssistantPromptMessage.ToolCall.ToolCallFunction(
                    name=call["name"], arguments=call["arguments"] or "{}"
                ),
            )
            for index, call in sorted(self._calls.items())
        ]

    def _take_call(self, piece: dict[str, Any], number: int) -> None:
        """Add to the call of that index; pieces of several calls may be mixed."""
        function = piece.get("function") or {}
        call = self._calls.setdefault(piece.get("index", number), {"id": "", "name": "", "arguments": ""})
        call["id"] = call["id"] or piece.get("id") or ""
        call["name"] = call["name"] or function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""

    def _shown(self, delta: dict[str, Any]) -> str:
        """Text with thoughts in tags. A thought and what follows it are wrapped one after the other, as the
        oldest SDK loses what comes in one delta with a thought, and knows only the first of its two names."""
        shown = ""
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought:
            shown, self._thinking = self._wrap({"reasoning_content": thought}, self._thinking)
        content = delta.get("content")
        if content or (self._thinking and delta.get("tool_calls")):
            text, self._thinking = self._wrap({"content": content}, self._thinking)
            shown += text
        return shown

    def _note(self, delta: dict[str, Any], more: dict[str, Any]) -> None:
        """What an answer from documents has beside its text."""
        say = self._credentials.say
        if citations := delta.get("citations"):
            pages = [say("page", page=each["page"]) if each["page"] else "" for each in citations]
            named = zip(citations, pages, strict=True)
            lines = [f"[{each['number']}] {each['document_name']}{page}" for each, page in named]
            self._notes.append("\n".join([say("sources"), *dict.fromkeys(lines)]))
        if degradations := more.get("degradations"):
            self._notes.append(say("degraded", stages=", ".join(dict.fromkeys(each["stage"] for each in degradations))))
        if unsupported := more.get("unsupported"):
            self._notes.append(say("unsupported", count=len(unsupported)))
