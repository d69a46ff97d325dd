"""One run: what it is about, whom it may ask, what it has found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from dify_plugin.entities.model.llm import LLMUsage
from dify_plugin.entities.model.message import PromptMessage

from orchestration.budget import fit, tokens
from orchestration.journal import Entry, Journal
from orchestration.model import Model, Reply
from orchestration.passages import Passages
from orchestration.prompts import Prompts
from orchestration.reading import begins_in_thought, without_thoughts
from orchestration.toolbox import Toolbox
from orchestration.usage import plus
from orchestration.words import Words


@dataclass(frozen=True, slots=True)
class Note:
    """What the model noted at the end of a step."""

    step: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a tool said besides passages."""

    tool: str
    text: str


class State(TypedDict):
    """What the graph decides by."""

    steps: list[str]
    position: int
    """Index of the step being worked on."""
    rounds: int
    """Those in which the model called tools."""
    conversation: list[PromptMessage]
    """From the question on."""
    notes: list[Note]
    findings: list[Finding]
    replanned: bool
    limited: bool
    """The model wanted more rounds with tools than it may have."""


@dataclass
class Run:
    """What every node of the graph works with.

    Attributes:
        notices: what the user is told before the answer.
        usage: of all model calls so far.
        thinks_unasked: the model's template opens its thoughts, so that they come without a beginning.
        degradations: what tools say they had to do without.
        summary: what is told to programs at the end.
    """

    question: str
    prompts: Prompts
    words: Words
    history: Sequence[PromptMessage]
    model: Model
    tools: Toolbox
    maximum_rounds: int
    notices: Sequence[str] = ()
    passages: Passages = field(default_factory=Passages)
    usage: LLMUsage = field(default_factory=LLMUsage.empty_usage)
    thinks_unasked: bool = False
    degradations: list[Any] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)

    def ask(
        self,
        journal: Journal,
        parent: Entry,
        system: str,
        rest: Sequence[PromptMessage],
        *,
        with_tools: bool = False,
        on_text: Callable[[str], None] | None = None,
    ) -> Reply:
        """Ask the model, as a line of the log.

        Args:
            rest: the conversation from the question on.
            with_tools: let it call tools natively.

        Raises:
            InvokeServerUnavailableError: the model could not be called.
        """
        head = [self.prompts.system(system), *self.history]
        tools = self.tools.prompts if with_tools else []
        room = self.model.room - sum(tokens(tool.model_dump_json()) for tool in tools)
        messages, shortened = fit(head, rest, room, self.words)
        label = self.words.thought.format(model=self.model.name)
        with journal.entry(label, parent, provider=self.model.provider) as entry:
            reply = self.model.ask(messages, tools, on_text)
            entry.spend(reply.usage)
            self.usage = plus(self.usage, reply.usage)
            entry.data = {
                "output": reply.text,
                "tool_calls": [{"name": call.name, "arguments": call.arguments} for call in reply.calls],
                "finish_reason": reply.finish_reason,
                "prompt_tokens": reply.usage.prompt_tokens,
                "completion_tokens": reply.usage.completion_tokens,
                "shortened_messages": shortened,
            }
        self.thinks_unasked = self.thinks_unasked or begins_in_thought(reply.text)
        reply.text = without_thoughts(reply.text)
        return reply
