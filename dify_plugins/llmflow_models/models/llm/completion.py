"""An answer as it comes in: what of it is shown, the tools it calls, what it cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dify_plugin.entities.model.message import AssistantPromptMessage
from llmflow_client.server import Server

Wrap = Callable[[dict[str, Any], bool], tuple[str, bool]]
"""The SDK's helper that puts thoughts between ``<think>`` tags: from a delta and whether a thought is open to the
text and whether one is open now."""


class Completion:
    """Takes the chunks of a streamed answer, or a whole answer as the only one.

    Attributes:
        finish_reason: why the model stopped; None before it did.
        prompt_tokens, completion_tokens: as the server counted them.
    """

    def __init__(self, server: Server, wrap: Wrap) -> None:
        self.finish_reason: str | None = None
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self._server = server
        self._say = server.credentials.say
        self._wrap = wrap
        self._thinking = False
        self._calls: list[dict[str, str]] = []
        self._open: dict[int, dict[str, str]] = {}
        self._notes: list[str] = []

    def take(self, chunk: dict[str, Any]) -> str:
        """Take a chunk; the text to show for it.

        Raises:
            InvokeError: it is none in OpenAI's form.
        """
        try:
            return self._take(chunk)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            raise self._server.broken_off() from None

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
            for index, call in enumerate(self._calls)
        ]

    def _take(self, chunk: dict[str, Any]) -> str:
        if usage := chunk.get("usage"):
            self.prompt_tokens = int(usage.get("prompt_tokens") or 0)
            self.completion_tokens = int(usage.get("completion_tokens") or 0)
        more = chunk.get("llmflow") or {}
        if not (choices := chunk.get("choices")):
            return ""
        choice = choices[0]
        delta = choice.get("delta") or choice.get("message") or {}
        if finish := choice.get("finish_reason"):
            self.finish_reason = str(finish)
        for number, call in enumerate(delta.get("tool_calls") or ()):
            self._take_call(call, number)
        self._note(delta, more)
        if "discarded" in more:
            return f"\n\n{self._say('discarded')}\n\n"
        return self._shown(delta)

    def _take_call(self, piece: dict[str, Any], number: int) -> None:
        """Add to the call of that index; pieces of several calls may be mixed.

        Some servers give all calls one index, or none: another id with a name begins another call. An id alone
        does not, as some give every piece its own.
        """
        function = piece.get("function") or {}
        identifier, name = str(piece.get("id") or ""), str(function.get("name") or "")
        index = number if piece.get("index") is None else piece["index"]
        call = self._open.get(index)
        if call is None or (identifier and name and call["id"] and call["id"] != identifier):
            call = self._open[index] = {"id": "", "name": "", "arguments": ""}
            self._calls.append(call)
        call["id"] = call["id"] or identifier
        call["name"] = call["name"] or name
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
        say = self._say
        if citations := delta.get("citations"):
            pages = [say("page", page=each["page"]) if each["page"] else "" for each in citations]
            named = zip(citations, pages, strict=True)
            lines = [f"[{each['number']}] {each['document_name']}{page}" for each, page in named]
            self._notes.append("\n".join([say("sources"), *dict.fromkeys(lines)]))
        if degradations := more.get("degradations"):
            self._notes.append(say("degraded", stages=", ".join(dict.fromkeys(each["stage"] for each in degradations))))
        if unsupported := more.get("unsupported"):
            self._notes.append(say("unsupported", count=len(unsupported)))
