"""The model selected in Dify, called through Dify."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from dify_plugin.core.runtime import Session
from dify_plugin.entities.model import ModelFeature
from dify_plugin.entities.model.llm import LLMModelConfig, LLMResult, LLMUsage
from dify_plugin.entities.model.message import AssistantPromptMessage, PromptMessage, PromptMessageTool
from dify_plugin.interfaces.agent import AgentModelConfig

from orchestration.budget import room_of, text_of
from orchestration.errors import InvokeServerUnavailableError, reason_of
from orchestration.reading import object_of
from orchestration.usage import plus
from orchestration.words import Words

_TOOL_CALLS = {ModelFeature.TOOL_CALL, ModelFeature.MULTI_TOOL_CALL}


@dataclass
class Call:
    """A call of a tool as the model asked for it."""

    id: str
    name: str
    arguments: str
    """JSON, if the model got it right."""

    @property
    def as_message(self) -> AssistantPromptMessage.ToolCall:
        """The call as a part of the conversation; without arguments that cannot be read: providers fail on them."""
        arguments = json.dumps(object_of(self.arguments) or {}, ensure_ascii=False)
        function = AssistantPromptMessage.ToolCall.ToolCallFunction(name=self.name, arguments=arguments)
        return AssistantPromptMessage.ToolCall(id=self.id, type="function", function=function)


@dataclass
class Reply:
    """What a model said, which tools it wants called, and what that took."""

    text: str = ""
    calls: list[Call] = field(default_factory=list)
    usage: LLMUsage = field(default_factory=LLMUsage.empty_usage)
    finish_reason: str | None = None

    def take(self, message: AssistantPromptMessage) -> str:
        """Add a piece of the answer; returns its text."""
        text = text_of(message)
        self.text += text
        for piece in message.tool_calls:
            self._take_call(piece)
        return text

    def _take_call(self, piece: AssistantPromptMessage.ToolCall) -> None:
        """A call comes whole, or as a name and then pieces of its arguments; some models give all calls one id."""
        function = piece.function
        begun = [call for call in self.calls if call.id == piece.id] if piece.id else []
        complete = begun and function.arguments and object_of(begun[-1].arguments) is not None
        if function.name and (complete or not begun):
            number = len(self.calls) + 1
            identity = f"{piece.id or 'call'}_{number}" if begun or not piece.id else piece.id
            self.calls.append(Call(identity, function.name, function.arguments))
        elif self.calls:
            (begun or self.calls)[-1].arguments += function.arguments


class Model:
    """Asks the model; tools go along natively where it knows tool calls.

    Attributes:
        calls_tools: the model has a tool-call feature; an unknown model is taken to have none.
        room: tokens of prompt it takes.
    """

    def __init__(self, session: Session, config: AgentModelConfig, words: Words) -> None:
        features = set((config.entity.features if config.entity else None) or ())
        self.name = config.model
        self.provider = config.provider
        self.calls_tools = bool(features & _TOOL_CALLS)
        self.room = room_of(config)
        self._streams_calls = ModelFeature.STREAM_TOOL_CALL in features
        self._stop: list[str] = config.completion_params.get("stop") or []
        self._config = LLMModelConfig.model_validate(config.model_dump(include=set(LLMModelConfig.model_fields)))
        self._session = session
        self._words = words

    def ask(
        self,
        messages: Sequence[PromptMessage],
        tools: Sequence[PromptMessageTool] = (),
        on_text: Callable[[str], None] | None = None,
    ) -> Reply:
        """One answer of the model.

        Args:
            on_text: gets the text piece by piece.

        Raises:
            InvokeServerUnavailableError: Dify could not call the model.
        """
        reply = Reply()
        try:
            for message, usage, reason in self._pieces(messages, tools):
                text = reply.take(message)
                reply.usage = plus(reply.usage, usage) if usage else reply.usage
                reply.finish_reason = reason or reply.finish_reason
                if text and on_text:
                    on_text(text)
        except Exception as error:  # whatever the SDK or Dify meets while calling back
            told = self._words.model_failed.format(model=self.name, reason=reason_of(error))
            raise InvokeServerUnavailableError(told) from None
        return reply

    def _pieces(
        self, messages: Sequence[PromptMessage], tools: Sequence[PromptMessageTool]
    ) -> Iterator[tuple[AssistantPromptMessage, LLMUsage | None, str | None]]:
        answer = self._session.model.llm.invoke(
            model_config=self._config,
            prompt_messages=list(messages),
            tools=list(tools) or None,
            stop=self._stop,
            stream=not tools or self._streams_calls,
        )
        if isinstance(answer, LLMResult):
            yield answer.message, answer.usage, None
            return
        for chunk in answer:
            yield chunk.delta.message, chunk.delta.usage, chunk.delta.finish_reason
