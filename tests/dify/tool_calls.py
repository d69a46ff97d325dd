"""Runs of the tools, their messages read and checked as Dify does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from worded_errors import said_alone

from dify_plugins.tooling.daemon import Message, PluginError, PluginProcess

PROVIDER = "llmflow"


@dataclass
class Result:
    """What a tool node makes of a run.

    Attributes:
        streamed: of each variable that was streamed, its pieces put together.
    """

    text: str = ""
    json: Any = None
    variables: dict[str, Any] = field(default_factory=dict)
    streamed: dict[str, str] = field(default_factory=dict)
    logs: list[Message] = field(default_factory=list)
    resources: list[Message] = field(default_factory=list)
    context: str = ""

    def take(self, kind: str, message: Message) -> None:
        """Add a message; Dify refuses a null or an output's own name as a variable, and a log without metadata."""
        match kind:
            case "text":
                self.text += message["text"]
            case "json":
                assert self.json is None
                self.json = message["json_object"]
            case "log":
                assert message["metadata"] is not None
                self.logs.append(message)
            case "retriever_resources":
                self.resources, self.context = message["retriever_resources"], message["context"]
            case "variable":
                name, value = message["variable_name"], message["variable_value"]
                assert name not in ("text", "files", "json")
                assert value is not None, name
                if message["stream"]:
                    self.streamed[name] = self.streamed.get(name, "") + value
                else:
                    self.variables[name] = value
            case _:
                raise AssertionError(kind)


@dataclass
class Tools:
    """The plugin with an administrator's credentials."""

    plugin: PluginProcess
    credentials: dict[str, Any]

    def messages(self, tool: str, **parameters: Any) -> Iterator[Message]:
        """The messages of a run."""
        return self.plugin.invoke_tool(PROVIDER, tool, self.credentials, parameters)

    def run(self, tool: str, **parameters: Any) -> Result:
        """The result of a run."""
        result = Result()
        for message in self.messages(tool, **parameters):
            result.take(message["type"], message["message"])
        return result

    def failure(self, tool: str, **parameters: Any) -> str:
        """What a user reads of a run that fails."""
        with pytest.raises(PluginError) as caught:
            self.run(tool, **parameters)
        return said_alone(caught.value)

    def validate(self) -> None:
        """Check the credentials, as Dify does when they are saved."""
        fields = {"provider": PROVIDER, "credentials": self.credentials}
        (result,) = self.plugin.invoke("tool", "validate_tool_credentials", **fields)
        assert result == {"result": True}

    def with_credentials(self, **values: Any) -> Tools:
        """The same plugin with other credentials."""
        return Tools(self.plugin, {**self.credentials, **values})
