"""What a tool answered, as the model reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dify_plugin.entities.agent import AgentInvokeMessage
from dify_plugin.entities.tool import ToolInvokeMessage

from orchestration.citations import renumber
from orchestration.passages import Passage, Passages, Resource, resource_of

_Kind = ToolInvokeMessage.MessageType
_FILES = {_Kind.IMAGE, _Kind.IMAGE_LINK, _Kind.BLOB}
_NUMBER = re.compile(r"\[\d+\] ?")


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
                if message.type is _Kind.LINK and message.meta:  # a file of Dify's
                    outcome.files.append(_handed_on(message))
            case _Kind.JSON if isinstance(body, ToolInvokeMessage.JsonMessage):
                objects.append(body.json_object)
            case _Kind.VARIABLE if isinstance(body, ToolInvokeMessage.VariableMessage):
                before = variables.get(body.variable_name, "") if body.stream else None
                value = body.variable_value
                variables[body.variable_name] = value if before is None else f"{before}{value}"
            case _Kind.RETRIEVER_RESOURCES if isinstance(body, ToolInvokeMessage.RetrieverResourceMessage):
                resources += body.retriever_resources
            case kind if kind in _FILES:
                outcome.files.append(_handed_on(message))
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
    told = (each.get("degradations") for each in fields)
    outcome.degradations = next((each for each in told if isinstance(each, list) and each), [])
    text = "".join(texts).strip()
    if outcome.passages:
        outcome.text = renumber(_besides(text, resources), numbers)
    else:
        written = [text, *(_json(each) for each in objects if each and not _is_json_of(text, each))]
        outcome.text = "\n".join(filter(None, written)) or (_json(variables) if variables else "")
    return outcome


def _besides(text: str, resources: Iterable[Resource]) -> str:
    """The text without the passages that stand in it on lines of their own, and without headings like ``[1] title``."""
    known: dict[str, list[tuple[list[str], str]]] = {}
    for resource in resources:
        if lines := _lines((resource.content or "").strip()):
            known.setdefault(lines[0], []).append((lines, resource.document_name or ""))
    given, plain = text.splitlines(), _lines(text)
    said: list[str] = []
    at = 0
    while at < len(given):
        begun = known.get(plain[at]) or known.get(_NUMBER.sub("", plain[at], count=1), [])
        for lines, title in begun:
            if plain[at + 1 : at + len(lines)] == lines[1:]:
                if said and _NUMBER.match(said[-1]) and title in said[-1]:
                    said.pop()
                at += len(lines)
                break
        else:
            said.append(given[at])
            at += 1
    return "\n".join(said).strip()


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def _handed_on(message: ToolInvokeMessage) -> AgentInvokeMessage:
    return AgentInvokeMessage(type=message.type, message=message.message, meta=message.meta)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _is_json_of(text: str, value: Any) -> bool:
    """Whether the text is the value written out."""
    try:
        return bool(json.loads(text) == value)
    except (ValueError, RecursionError):
        return False
