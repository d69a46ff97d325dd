"""What a tool answered, as the model reads it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dify_plugin.entities.agent import AgentInvokeMessage
from dify_plugin.entities.tool import ToolInvokeMessage

from orchestration.citations import renumber
from orchestration.passages import Passage, Passages, Resource, resource_of

_Kind = ToolInvokeMessage.MessageType
_FILES = {_Kind.IMAGE, _Kind.IMAGE_LINK, _Kind.BLOB}
_RECOGNISED_BY = 80
"""First characters of a passage by which a text is seen to repeat it."""


@dataclass
class Outcome:
    """A tool's answer.

    Attributes:
        text: what it said besides ``passages``.
        degradations: what it says it had to do without.
        files: messages to hand on to Dify's user.
    """

    text: str = ""
    degradations: list[Any] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    files: list[AgentInvokeMessage] = field(default_factory=list)


def read(messages: Iterable[ToolInvokeMessage], passages: Passages) -> Outcome:
    """Read a tool's messages to the end, as one answer.

    Tools say the same thing as text, JSON and variables: JSON is read beside a text that is not
    the same, variables only where there is nothing else. Passages stand for every repetition of them.
    """
    texts: list[str] = []
    objects: list[Any] = []
    variables: dict[str, Any] = {}
    resources: list[Resource] = []
    outcome = Outcome()
    for message in messages:
        body = message.message
        match message.type:
            case _Kind.TEXT | _Kind.LINK if isinstance(body, ToolInvokeMessage.TextMessage):
                texts.append(body.text if message.type is _Kind.TEXT else f"\n{body.text}\n")
            case _Kind.JSON if isinstance(body, ToolInvokeMessage.JsonMessage):
                objects.append(body.json_object)
            case _Kind.VARIABLE if isinstance(body, ToolInvokeMessage.VariableMessage):
                before = variables.get(body.variable_name, "") if body.stream else None
                value = body.variable_value
                variables[body.variable_name] = value if before is None else f"{before}{value}"
            case _Kind.RETRIEVER_RESOURCES if isinstance(body, ToolInvokeMessage.RetrieverResourceMessage):
                resources += body.retriever_resources
            case kind if kind in _FILES:
                outcome.files.append(AgentInvokeMessage(type=message.type, message=body, meta=message.meta))
    fields = [variables, *(each for each in objects if isinstance(each, dict))]
    items: list[Any] = next((each["result"] for each in fields if isinstance(each.get("result"), list)), [])
    resources = resources or [resource for item in items if (resource := resource_of(item))]
    found: dict[int, Passage] = {}
    numbers: dict[int, int] = {}
    for position, resource in enumerate(resources, start=1):
        passage = passages.add(resource)
        found[passage.number] = passage
        numbers[resource.position or position] = passage.number
    outcome.passages = list(found.values())
    outcome.degradations = next((each["degradations"] for each in fields if each.get("degradations")), [])
    text = "".join(texts).strip()
    if outcome.passages:
        outcome.text = "" if _repeats(text, outcome.passages) else renumber(text, numbers)
    else:
        written = [text, *(_json(each) for each in objects if each and not _is_json_of(text, each))]
        outcome.text = "\n".join(filter(None, written)) or (_json(variables) if variables else "")
    return outcome


def _repeats(text: str, passages: list[Passage]) -> bool:
    """Whether the text is but the passages once more."""
    text = " ".join(text.split())
    begins = [" ".join(passage.content.split())[:_RECOGNISED_BY] for passage in passages]
    return all(begin and begin in text for begin in begins)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _is_json_of(text: str, value: Any) -> bool:
    """Whether the text is the value written out."""
    try:
        return bool(json.loads(text) == value)
    except (ValueError, RecursionError):
        return False
