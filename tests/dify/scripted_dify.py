"""Plays Dify for an agent strategy: models and tools that answer by script, and a reading of what the agent sends."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from worded_errors import said

from dify_plugins.tooling.daemon import Message, PluginError, PluginProcess

PROVIDER = "langgenius/openai_api_compatible/openai_api_compatible"


@dataclass
class Says:
    """A model's answer, in pieces; ``calls`` are tools by name with arguments (text as it is, else JSON)."""

    text: str = ""
    calls: Iterable[tuple[str, Any]] = ()
    piece: int = 7
    tokens: tuple[int, int] = (100, 10)
    then: Exception | None = None
    finish: str | None = None

    def chunks(self) -> Iterator[Message]:
        """As Dify streams them; ``then`` breaks off."""
        for start in range(0, len(self.text), self.piece):
            yield chunk({"content": self.text[start : start + self.piece]})
        if self.then:
            raise self.then
        calls = [
            {
                "id": f"call-{number}",
                "type": "function",
                "function": {
                    "name": name,
                    "arguments": given if isinstance(given, str) else json.dumps(given, ensure_ascii=False),
                },
            }
            for number, (name, given) in enumerate(self.calls)
        ]
        prompt, completion = self.tokens
        usage = {
            "prompt_tokens": prompt,
            "prompt_unit_price": "0.001",
            "prompt_price_unit": "0.001",
            "prompt_price": "0.0001",
            "completion_tokens": completion,
            "completion_unit_price": "0.002",
            "completion_price_unit": "0.001",
            "completion_price": "0.00002",
            "total_tokens": prompt + completion,
            "total_price": "0.00012",
            "currency": "USD",
            "latency": 0.01,
        }
        finish = self.finish or ("tool_calls" if calls else "stop")
        yield chunk({"content": "", "tool_calls": calls}, usage=usage, finish_reason=finish)


def chunk(message: Message, **more: Any) -> Message:
    """A piece of a model's answer."""
    delta = {"index": 0, "message": {"role": "assistant", "tool_calls": [], **message}, **more}
    return {"model": "scripted", "prompt_messages": [], "delta": delta}


def steps(*names: str) -> Says:
    """A plan."""
    return Says(json.dumps({"steps": names}, ensure_ascii=False))


Reply = Says | Exception | Callable[[Message], Iterator[Message]]
Tool = Callable[[Mapping[str, Any]], Iterable[Message]]


@dataclass
class Dify:
    """Answers a plugin's calls.

    Args:
        replies: the model's answers in order, each whole or as a function that streams it; or a function
            from every request to one.
        tools: by name what they answer to their parameters.
        last: how the model answers once ``replies`` are used up.
    """

    replies: Iterable[Reply] | Callable[[Message], Reply]
    tools: Mapping[str, Tool] = field(default_factory=dict)
    last: Reply | None = None
    asked: list[Message] = field(default_factory=list)
    called: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        if not callable(self.replies):
            self._script = iter(self.replies)

    @property
    def handlers(self) -> dict[str, Any]:
        return {"llm": self._llm, "tool": self._tool}

    def _llm(self, request: Message) -> Iterator[Message]:
        with self._lock:
            self.asked.append(request)
            if callable(self.replies):
                reply = self.replies(request)
            else:
                reply = next(self._script, self.last or AssertionError("the script has no further answer"))
        if isinstance(reply, Exception):
            raise reply
        yield from reply.chunks() if isinstance(reply, Says) else reply(request)

    def _tool(self, request: Message) -> Iterator[Message]:
        with self._lock:
            self.called.append(request)
        try:
            yield from self.tools[request["tool"]](request["tool_parameters"])
        except PluginError as error:
            raise RuntimeError(said(request["provider"], error)) from None


def text(content: str) -> Message:
    """A tool's text."""
    return {"type": "text", "message": {"text": content}}


def variable(name: str, value: Any) -> Message:
    """A tool's variable."""
    return {"type": "variable", "message": {"variable_name": name, "variable_value": value, "stream": False}}


def passage(chunk: str, content: str, title: str = "취업규칙.pdf", page: int | None = 3) -> Message:
    """An item of ``result`` as ``retrieve`` gives it."""
    metadata = {"document_id": f"doc-{title}", "chunk_id": chunk, "page": page, "department": "인사"}
    return {"content": content, "title": title, "score": 0.8, "metadata": metadata}


def found(*passages: Message) -> list[Message]:
    """What ``retrieve`` sends."""
    context = "\n".join(item["content"] for item in passages)
    fields = {"result": list(passages), "context": context, "count": len(passages), "degradations": []}
    return [
        {"type": "json", "message": {"json_object": fields}},
        text("\n\n".join(f"[{number}] {item['content']}" for number, item in enumerate(passages, start=1))),
        *(variable(name, value) for name, value in fields.items()),
    ]


def tool(
    name: str,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    provider: str = "llmflow/llmflow/llmflow",
    **runtime: Any,
) -> Message:
    """A tool in the form Dify hands to a strategy.

    Args:
        parameters: by name what differs from a required string that the model sets.
        runtime: parameters that the app sets.
    """
    label = {"en_US": name}
    described = [
        {
            "name": each,
            "label": {"en_US": each},
            "human_description": {"en_US": each},
            "llm_description": f"the {each}",
            "type": "string",
            "form": "llm",
            "required": True,
            **differs,
        }
        for each, differs in (parameters if parameters is not None else {"query": {}}).items()
    ]
    return {
        "identity": {"author": "llmflow", "name": name, "label": label, "provider": provider},
        "parameters": described,
        "description": {"human": label, "llm": f"Does {name}."},
        "output_schema": None,
        "has_runtime_parameters": False,
        "runtime_parameters": runtime,
        "credential_id": None,
        "provider_type": "builtin",
    }


def model(
    features: Iterable[str] = ("tool-call", "stream-tool-call"),
    context_size: int = 32_768,
    history: Iterable[Message] = (),
) -> Message:
    """A model in the form Dify hands to a strategy."""
    entity = {
        "model": "student",
        "label": {"en_US": "student"},
        "model_type": "llm",
        "features": list(features),
        "fetch_from": "customizable-model",
        "model_properties": {"context_size": context_size, "mode": "chat"},
        "parameter_rules": [],
    }
    return {
        "type": "model-selector",
        "provider": PROVIDER,
        "model": "student",
        "model_type": "llm",
        "mode": "chat",
        "completion_params": {"temperature": 0.1},
        "history_prompt_messages": list(history),
        "entity": entity,
    }


@dataclass
class Line:
    """A line of the log, once closed."""

    label: str
    parent: str | None
    status: str
    data: Message
    metadata: Message
    error: str | None
    children: list[Line] = field(default_factory=list)


@dataclass
class Transcript:
    """What the strategy sent, read; checks that the log nests and closes."""

    messages: list[Message] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(each["message"]["text"] for each in self.messages if each["type"] == "text")

    @property
    def resources(self) -> list[Message]:
        bodies = [each["message"] for each in self.messages if each["type"] == "retriever_resources"]
        return [resource for body in bodies for resource in body["retriever_resources"]]

    @property
    def totals(self) -> Message:
        """The one JSON message, which comes last."""
        (body,) = [each["message"]["json_object"] for each in self.messages if each["type"] == "json"]
        assert self.messages[-1]["type"] == "json"
        return body

    def log(self) -> list[Line]:
        """The lines that no other one holds, in order."""
        open_: list[str] = []
        lines: dict[str, Line] = {}
        closed: set[str] = set()
        roots: list[Line] = []
        for message in (each["message"] for each in self.messages if each["type"] == "log"):
            identity, parent, status = message["id"], message["parent_id"], message["status"]
            assert message["metadata"] is not None
            assert message["metadata"]["started_at"] > 0
            if status == "start":
                assert identity not in lines
                assert parent == (open_[-1] if open_ else None), "nested in what is not the innermost open line"
                line = Line(message["label"], parent, status, message["data"], message["metadata"], None)
                lines[identity] = line
                (lines[parent].children if parent else roots).append(line)
                open_.append(identity)
            else:
                assert open_.pop() == identity, "closed out of order"
                assert identity not in closed
                closed.add(identity)
                line = lines[identity]
                line.status, line.data, line.metadata = status, message["data"], message["metadata"]
                line.error = message["error"]
                assert line.metadata["finished_at"] >= line.metadata["started_at"]
                assert line.metadata["elapsed_time"] >= 0
        assert not open_, f"left open: {[lines[each].label for each in open_]}"
        return roots


def labels(lines: Iterable[Line]) -> list[Any]:
    """Labels as nested lists."""
    return [(line.label, labels(line.children)) if line.children else line.label for line in lines]


def run(
    plugin: PluginProcess,
    dify: Dify,
    transcript: Transcript | None = None,
    on_message: Callable[[Message], None] = lambda _: None,
    **parameters: Any,
) -> Transcript:
    """Run the strategy with ``dify`` behind it. What it raises leaves what came before in ``transcript``."""
    plugin.handlers.update(dify.handlers)
    transcript = transcript or Transcript()
    given = {
        "model": model(),
        "tools": [tool("retrieve")],
        "query": "연차는 며칠까지 이월되나요?",
        "maximum_iterations": 6,
        **parameters,
    }
    for message in plugin.invoke_strategy("llmflow_supervisor", "supervisor", given, timeout_s=20):
        transcript.messages.append(message)
        on_message(message)
    return transcript
