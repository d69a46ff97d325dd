"""Calls of the model plugin, as Dify makes them, and servers for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmflow_server import LLMFlowServer
from processes import environment, running

from dify_plugins.tooling.daemon import Message, PluginProcess

PROVIDER = "llmflow_models"


def said(role: str, content: Any, **more: Any) -> Message:
    """A message of a prompt."""
    return {"role": role, "content": content, **more}


@dataclass
class Spoken:
    """An answer put together from its chunks, as Dify does."""

    text: str
    calls: list[tuple[str, str, str]]
    finish_reason: str | None
    usage: dict[str, Any]
    pieces: int


@dataclass
class ModelCalls:
    """The plugin with an administrator's credentials."""

    plugin: PluginProcess
    credentials: dict[str, Any]

    def chunks(
        self,
        model: str,
        prompt: list[Message],
        parameters: dict[str, Any] | None = None,
        *,
        stream: bool = True,
        tools: list[Message] | None = None,
        stop: list[str] | None = None,
    ) -> Iterator[Message]:
        """The chunks of an answer."""
        return self._call(
            "invoke_llm",
            "llm",
            model,
            prompt_messages=prompt,
            model_parameters=parameters or {},
            stream=stream,
            tools=tools,
            stop=stop,
        )

    def ask(self, model: str, question: str | list[Message], *more: Any, **others: Any) -> Spoken:
        """The answer to a question, or to a whole prompt."""
        prompt = [said("user", question)] if isinstance(question, str) else question
        deltas = [chunk["delta"] for chunk in self.chunks(model, prompt, *more, **others)]
        messages = [each["message"] for each in deltas]
        return Spoken(
            "".join(message["content"] for message in messages),
            [
                (call["id"], call["function"]["name"], call["function"]["arguments"])
                for message in messages
                for call in message["tool_calls"]
            ],
            deltas[-1]["finish_reason"],
            deltas[-1]["usage"],
            len(deltas),
        )

    def tokens(self, model: str, prompt: list[Message], tools: list[Message] | None = None) -> int:
        """Tokens of a prompt."""
        (result,) = self._call("get_llm_num_tokens", "llm", model, prompt_messages=prompt, tools=tools)
        count: int = result["num_tokens"]
        return count

    def embed(self, texts: list[str], model: str = "llmflow", kind: str = "document") -> Message:
        """Vectors of texts."""
        (result,) = self._call("invoke_text_embedding", "text-embedding", model, texts=texts, input_type=kind)
        return result

    def rerank(self, query: str, docs: list[str], model: str = "llmflow", **limits: float) -> list[Message]:
        """Texts, best first; Dify sends ``top_n`` and ``score_threshold`` always, where they are not set as null."""
        fields = {"query": query, "docs": docs, "top_n": None, "score_threshold": None, **limits}
        (result,) = self._call("invoke_rerank", "rerank", model, **fields)
        ranked: list[Message] = result["docs"]
        return ranked

    def schema(self, model: str, kind: str = "llm") -> Message:
        """What Dify learns of a model that a user adds by its name."""
        (result,) = self._call("get_ai_model_schemas", kind, model)
        schema: Message = result["model_schema"]
        return schema

    def validate(self, model: str, kind: str = "llm") -> None:
        """Check a model that a user adds by its name."""
        (result,) = self._call("validate_model_credentials", kind, model)
        assert result["result"] is True

    def validate_provider(self) -> None:
        """Check the credentials alone."""
        (result,) = self.plugin.invoke(
            "model", "validate_provider_credentials", provider=PROVIDER, credentials=self.credentials
        )
        assert result["result"] is True

    def _call(self, action: str, kind: str, model: str, **data: Any) -> Iterator[Message]:
        common: dict[str, Any] = {
            "provider": PROVIDER,
            "model_type": kind,
            "model": model,
            "credentials": self.credentials,
        }
        return self.plugin.invoke("model", action, **common, **data)


@contextmanager
def bare_server(folder: Path, **settings: str) -> Iterator[LLMFlowServer]:
    """A real server without documents.

    Args:
        settings: by their variable's name without ``LLMFLOW_``, e.g. ``LLM__BASE_URL``.
    """
    env = environment(folder / "data", **settings)
    with running(env, folder, "serve") as process:
        yield LLMFlowServer(process.url().split()[0].rstrip("/"), process, env, folder)
