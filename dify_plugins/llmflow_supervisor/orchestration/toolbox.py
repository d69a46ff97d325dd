"""The tools switched on in Dify, called through Dify."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dify_plugin.core.runtime import Session
from dify_plugin.entities.model.message import PromptMessageTool
from dify_plugin.entities.tool import ToolInvokeMessage, ToolParameter, ToolProviderType
from dify_plugin.interfaces.agent import ToolEntity

from orchestration.errors import CallRefusedError, reason_of
from orchestration.model import Call
from orchestration.reading import object_of
from orchestration.words import Words

_MOST_FAILURES = 2
"""Times that the same call may fail before it is no longer made."""
_SHOWN = 200
_UNREADABLE = "Failed to parse response"
"""How the SDK begins to say that it does not know a message's kind; validation errors of its own follow."""
_Type = ToolParameter.ToolParameterType
_SCHEMA_TYPES = {
    _Type.NUMBER: "number",
    _Type.BOOLEAN: "boolean",
    _Type.CHECKBOX: "boolean",
    _Type.OBJECT: "object",
    _Type.ARRAY: "array",
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that can be made. ``ignored`` arguments are unknown, or not the model's to set."""

    name: str
    arguments: dict[str, Any]
    ignored: tuple[str, ...]


class Toolbox:
    """Tools by the name the model knows; a second tool of the same name gets a number."""

    def __init__(self, session: Session, tools: Sequence[ToolEntity], words: Words) -> None:
        self._session = session
        self._words = words
        self._tools: dict[str, ToolEntity] = {}
        for tool in tools:
            name, number = tool.identity.name, 1
            while name in self._tools:
                number += 1
                name = f"{tool.identity.name}_{number}"
            self._tools[name] = tool
        self._failures: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}
        self._worked: set[str] = set()

    @property
    def prompts(self) -> list[PromptMessageTool]:
        """The tools as a model is shown them."""
        return [_prompt(name, tool) for name, tool in self._tools.items()]

    @property
    def unusable(self) -> dict[str, str]:
        """Tools that failed and never worked, with the last reason."""
        return {name: reason for name, reason in self._reasons.items() if name not in self._worked}

    def provider(self, name: str) -> str:
        """Whose tool it is; empty for a name that no tool has."""
        return self._tools[name].identity.provider if name in self._tools else ""

    def prepare(self, call: Call) -> Prepared:
        """Check a call.

        Raises:
            CallRefusedError: no such tool, no JSON object or too deep a one, arguments missing, or failed before.
        """
        tool = self._tools.get(call.name)
        if tool is None:
            raise CallRefusedError(self._words.unknown_tool.format(name=call.name, names=", ".join(self._tools)))
        given = object_of(call.arguments or "{}")
        if given is None:
            raise CallRefusedError(self._words.bad_arguments.format(arguments=call.arguments[:_SHOWN]))
        open_ = {parameter.name: parameter for parameter in tool.parameters if _is_models(parameter)}
        arguments = {name: value for name, value in given.items() if name in open_ and value is not None}
        missing = [name for name, parameter in open_.items() if parameter.required and name not in arguments]
        if missing:
            raise CallRefusedError(self._words.missing_arguments.format(names=", ".join(missing)))
        prepared = Prepared(call.name, arguments, tuple(name for name in given if name not in open_))
        if (times := self._failures[_key(prepared)]) >= _MOST_FAILURES:
            raise CallRefusedError(self._words.failed_again.format(times=times))
        return prepared

    def invoke(self, call: Prepared) -> Iterator[ToolInvokeMessage]:
        """Make a call; what the app has set stands, whatever the model asked for.

        Raises:
            CallRefusedError: the tool failed, or Dify could not call it.
        """
        tool = self._tools[call.name]
        try:
            yield from self._session.tool.invoke(
                provider_type=ToolProviderType(tool.provider_type),
                provider=tool.identity.provider,
                tool_name=tool.identity.name,
                parameters={**tool.runtime_parameters, **call.arguments},
                credential_id=tool.credential_id,
            )
        except Exception as error:  # whatever the SDK, Dify or the tool meets
            unreadable = str(error).startswith(_UNREADABLE)
            reason = self._words.unreadable_result if unreadable else reason_of(error)
            self._failures[_key(call)] += 1
            self._reasons[call.name] = reason
            raise CallRefusedError(self._words.failed.format(name=call.name, reason=reason)) from None
        self._worked.add(call.name)


def _prompt(name: str, tool: ToolEntity) -> PromptMessageTool:
    open_ = [parameter for parameter in tool.parameters if _is_models(parameter)]
    schema = {
        "type": "object",
        "properties": {parameter.name: _schema(parameter) for parameter in open_},
        "required": [parameter.name for parameter in open_ if parameter.required],
    }
    return PromptMessageTool(
        name=name, description=(tool.description.llm if tool.description else "") or name, parameters=schema
    )


def _schema(parameter: ToolParameter) -> dict[str, Any]:
    if parameter.input_schema is not None:
        return dict(parameter.input_schema)
    schema: dict[str, Any] = {"description": parameter.llm_description or ""}
    if parameter.type is not _Type.ANY:
        schema["type"] = _SCHEMA_TYPES.get(parameter.type, "string")
    if parameter.type is _Type.SELECT and parameter.options:
        schema["enum"] = [option.value for option in parameter.options]
    return schema


def _is_models(parameter: ToolParameter) -> bool:
    """Whether the model sets the parameter; files it cannot make up."""
    files = {_Type.FILE, _Type.FILES}
    return parameter.form is ToolParameter.ToolParameterForm.LLM and parameter.type not in files


def _key(call: Prepared) -> str:
    return f"{call.name} {json.dumps(call.arguments, sort_keys=True)}"
