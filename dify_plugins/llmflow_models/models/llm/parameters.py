"""What users of Dify may set for a served model, and the fields of a request it becomes."""

from __future__ import annotations

import json
from typing import Any

from dify_plugin.entities.model import ParameterRule
from dify_plugin.errors.model import InvokeBadRequestError
from llmflow_client.credentials import Credentials

_DEFAULT_MAX_TOKENS = 1024
_TRANSLATED = {"enable_thinking", "json_schema", "response_format", "tool_choice"}
"""Settings that are no fields of a request by themselves."""


def parameter_rules(max_model_len: int | None) -> list[ParameterRule]:
    """The rules; an answer may be as long as the model's window, where that is known."""
    rules: list[dict[str, Any]] = [
        {"name": "temperature", "use_template": "temperature", "default": 0.7, "max": 2},
        {"name": "top_p", "use_template": "top_p"},
        {
            "name": "max_tokens",
            "type": "int",
            "label": {"en_US": "Max tokens · 최대 토큰 수"},
            "help": {"en_US": "Length of the answer at most; raise it where answers are cut. 답의 최대 길이입니다."},
            "default": min(_DEFAULT_MAX_TOKENS, max_model_len or _DEFAULT_MAX_TOKENS),
            "min": 1,
            "max": max_model_len,
        },
        {"name": "frequency_penalty", "use_template": "frequency_penalty", "min": -2, "max": 2},
        {"name": "presence_penalty", "use_template": "presence_penalty", "min": -2, "max": 2},
        {
            "name": "seed",
            "type": "int",
            "label": {"en_US": "Seed · 시드"},
            "help": {"en_US": "The same seed and prompt give the same answer. 시드와 프롬프트가 같으면 답도 같습니다."},
            "min": 0,
        },
        {
            "name": "response_format",
            "use_template": "response_format",
            "options": ["text", "json_object", "json_schema"],
            "help": {
                "en_US": "json_object: any JSON. json_schema: JSON that the schema below allows."
                " 아래 스키마에 맞는 JSON을 쓰게 하려면 json_schema를 고릅니다."
            },
        },
        {"name": "json_schema", "use_template": "json_schema"},
        {
            "name": "tool_choice",
            "type": "string",
            "label": {"en_US": "Tool choice · 도구 선택"},
            "help": {
                "en_US": "auto, none, required, or the name of the tool that must be called."
                " 반드시 호출할 도구가 있으면 그 이름을 적습니다."
            },
        },
        {
            "name": "enable_thinking",
            "type": "boolean",
            "label": {"en_US": "Thinking · 생각하기"},
            "help": {
                "en_US": "Whether a model that can (such as Qwen3) thinks before it answers."
                " 생각할 수 있는 모델이 답하기 전에 생각하게 합니다."
            },
        },
    ]
    return [ParameterRule.model_validate(rule) for rule in rules]


def request_fields(parameters: dict[str, Any], credentials: Credentials) -> dict[str, Any]:
    """The request's fields for a user's settings, without the choice of a tool, which goes with the tools.

    Raises:
        InvokeBadRequestError: the schema of the output is missing, no JSON, or of no use.
    """
    fields = {name: value for name, value in parameters.items() if name not in _TRANSLATED}
    if "enable_thinking" in parameters:
        fields["chat_template_kwargs"] = {"enable_thinking": parameters["enable_thinking"]}
    schema, form = parameters.get("json_schema"), parameters.get("response_format")
    if schema and form in (None, "json_schema"):
        fields["response_format"] = {"type": "json_schema", "json_schema": _schema(schema, credentials)}
    elif schema:
        raise InvokeBadRequestError(credentials.say("schema_unused", format=form))
    elif form == "json_schema":
        raise InvokeBadRequestError(credentials.say("no_schema"))
    elif form:
        fields["response_format"] = {"type": form}
    return fields


def tool_choice(parameters: dict[str, Any]) -> Any:
    """Who must be called, in OpenAI's form: a mode, or one tool by its name."""
    chosen = parameters.get("tool_choice") or "auto"
    if chosen in ("auto", "none", "required"):
        return chosen
    return {"type": "function", "function": {"name": chosen}}


def _schema(text: str, credentials: Credentials) -> dict[str, Any]:
    """A schema in OpenAI's form, which is how Dify's structured output sends it; a user may type the schema alone."""
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise InvokeBadRequestError(credentials.say("bad_schema", reason=error)) from None
    if not isinstance(schema, dict):
        raise InvokeBadRequestError(credentials.say("bad_schema", reason=text[:80]))
    whole = schema if isinstance(schema.get("schema"), dict) else {"schema": schema}
    return {"name": "answer", **whole}
