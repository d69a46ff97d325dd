"""Chat with what the server serves: answers from documents, the student and its adapters.

The SDK's class for OpenAI-compatible servers is not used. Measured with 0.7.4 and 0.10.2, it reports every
refusal as one kind of error, mixes up parallel tool calls, loses thoughts (0.7.4), shows an answer that broke off
as a complete one, and asks no usage of a streamed answer but downloads a tokenizer from the internet to guess it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Generator, Mapping
from typing import Any

from dify_plugin import LargeLanguageModel
from dify_plugin.config.logger_format import plugin_logger_handler
from dify_plugin.entities import I18nObject
from dify_plugin.entities.model import (
    AIModelEntity,
    FetchFrom,
    ModelFeature,
    ModelPropertyKey,
    ModelType,
    ParameterRule,
)
from dify_plugin.entities.model.llm import LLMMode, LLMResult, LLMResultChunk, LLMResultChunkDelta, LLMUsage
from dify_plugin.entities.model.message import AssistantPromptMessage, PromptMessage, PromptMessageTool
from dify_plugin.errors.model import InvokeBadRequestError, InvokeError
from llmflow_client.credentials import Credentials
from llmflow_client.server import Server
from models.failures import PlainFailures, validation
from models.llm.completion import Completion
from models.llm.messages import openai_messages, openai_tools
from models.llm.parameters import parameter_rules, request_fields, tool_choice
from models.tokens import estimated_tokens

log = logging.getLogger(__name__)
log.addHandler(plugin_logger_handler)

ANSWERS = "llmflow"
_FEATURES = [
    ModelFeature.TOOL_CALL,
    ModelFeature.MULTI_TOOL_CALL,
    ModelFeature.STREAM_TOOL_CALL,
    ModelFeature.AGENT_THOUGHT,
    ModelFeature.STRUCTURED_OUTPUT,
]
_COUNTING_S = 3.0
"""Dify counts tokens before each prompt; nobody should wait long for that."""


class LLMFlowLargeLanguageModel(PlainFailures, LargeLanguageModel):
    """``llmflow`` answers from documents; any other name is a model that the server passes requests on to."""

    def _invoke(
        self,
        model: str,
        credentials: dict[str, Any],
        prompt_messages: list[PromptMessage],
        model_parameters: dict[str, Any],
        tools: list[PromptMessageTool] | None = None,
        stop: list[str] | None = None,
        stream: bool = True,
        user: str | None = None,
    ) -> LLMResult | Generator[LLMResultChunk, None, None]:
        checked = Credentials.of(credentials)
        body: dict[str, Any] = {
            "model": model,
            "messages": openai_messages(prompt_messages, model, checked),
            **request_fields(model_parameters, checked),
        }
        if tools and model == ANSWERS:
            raise InvokeBadRequestError(checked.say("no_tools", example="student"))
        if tools:
            body |= {"tools": openai_tools(tools), "tool_choice": tool_choice(model_parameters)}
        if stop:
            body["stop"] = stop
        server = Server(checked)
        completion = Completion(server, self._wrap_thinking_by_reasoning_content)
        if stream:
            return self._streamed(model, server, body, completion)
        text = completion.take(server.post("/v1/chat/completions", body, "choices"))
        if completion.finish_reason is None:
            raise server.broken_off()
        return LLMResult(
            model=model,
            message=AssistantPromptMessage(content=text + completion.rest(), tool_calls=completion.tool_calls()),
            usage=self._usage(completion),
        )

    def get_num_tokens(
        self,
        model: str,
        credentials: dict[str, Any],
        prompt_messages: list[PromptMessage],
        tools: list[PromptMessageTool] | None = None,
    ) -> int:
        """Tokens of the prompt by the model's own tokenizer, an estimate where the server does not tell."""
        checked = Credentials.of(credentials)
        messages = openai_messages(prompt_messages, model, checked)
        body: dict[str, Any] = {"model": model, "messages": messages}
        if tools:
            body["tools"] = openai_tools(tools)
        try:
            answer = Server(checked).post("/v1/tokenize", body, "count", min(_COUNTING_S, checked.timeout_s))
        except InvokeError as error:
            log.warning("%s: the number of tokens is an estimate: %s", model, error)
            return estimated_tokens(json.dumps([messages, body.get("tools")], ensure_ascii=False))
        return int(answer["count"])

    def validate_credentials(self, model: str, credentials: Mapping[str, Any]) -> None:
        """Look for the model among those that are served now.

        Raises:
            CredentialsValidateFailedError: as for the provider; or the model is not served.
        """
        with validation():
            Server(Credentials.of(credentials)).model(model)

    def get_customizable_model_schema(self, model: str, credentials: Mapping[str, Any]) -> AIModelEntity:
        """A served model with the window it has now.

        Raises:
            InvokeError: the server is away, or does not serve it. Dify keeps a schema for an hour, so that
                one with a guessed window would outlast the failure.
        """
        window = Server(Credentials.of(credentials)).model(model)["max_model_len"]
        properties: dict[ModelPropertyKey, Any] = {ModelPropertyKey.MODE: LLMMode.CHAT.value}
        if window:
            properties[ModelPropertyKey.CONTEXT_SIZE] = window
        return AIModelEntity(
            model=model,
            label=I18nObject.model_validate({"en_US": model}),
            model_type=ModelType.LLM,
            fetch_from=FetchFrom.CUSTOMIZABLE_MODEL,
            features=_FEATURES,
            model_properties=properties,
            parameter_rules=parameter_rules(window),
        )

    def get_parameter_rules(self, model: str, credentials: dict[str, Any]) -> list[ParameterRule]:
        """The rules a call is checked against; the window is the server's to check, which saves asking for it."""
        return [] if model == ANSWERS else parameter_rules(None)

    def _validate_and_filter_model_parameters(
        self, model: str, model_parameters: dict[str, Any], credentials: dict[str, Any]
    ) -> dict[str, Any]:
        try:
            valid: dict[str, Any] = super()._validate_and_filter_model_parameters(model, model_parameters, credentials)
        except ValueError as error:
            checked = Credentials.of(credentials)
            raise InvokeBadRequestError(checked.say("bad_parameter", reason=error)) from None
        return valid

    def _streamed(
        self, model: str, server: Server, body: dict[str, Any], completion: Completion
    ) -> Generator[LLMResultChunk, None, None]:
        def chunk(message: AssistantPromptMessage, **more: Any) -> LLMResultChunk:
            return LLMResultChunk(model=model, delta=LLMResultChunkDelta(index=0, message=message, **more))

        asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
        for event in server.events("/v1/chat/completions", asked):
            if text := completion.take(event):
                yield chunk(AssistantPromptMessage(content=text))
        if completion.finish_reason is None:
            raise server.broken_off()
        yield chunk(
            AssistantPromptMessage(content=completion.rest(), tool_calls=completion.tool_calls()),
            finish_reason=completion.finish_reason,
            usage=self._usage(completion),
        )

    def _usage(self, completion: Completion) -> LLMUsage:
        """What the server counted; a server of one's own has no prices."""
        return LLMUsage.empty_usage().model_copy(
            update={
                "prompt_tokens": completion.prompt_tokens,
                "completion_tokens": completion.completion_tokens,
                "total_tokens": completion.prompt_tokens + completion.completion_tokens,
                "latency": time.perf_counter() - self.started_at,
            }
        )
