"""What the chat routes share: follow-up questions understood, and history that fits into the model's window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

from llmflow.conversation.assistant import Assistant
from llmflow.conversation.budget import Budget, turns_after
from llmflow.conversation.history import History
from llmflow.conversation.messages import ChatMessage
from llmflow.conversation.rewrite import Rewriter
from llmflow.conversation.session import Conversations
from llmflow.conversation.summary import Summarizer
from llmflow.generation.answer import AnswerEvent, Finished
from llmflow.models.llm import Message
from llmflow.runtime import Runtime
from llmflow.schema import Degradation, Scope


class Understood(NamedTuple):
    """A question that stands alone, what was said before it, and what went wrong on the way."""

    question: str
    history: Sequence[Message]
    degradations: tuple[Degradation, ...]


class Dialogue:
    """Conversations over a runtime.

    Raises:
        ConfigurationError: the settings of ``chat`` leave no room for a history.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        settings = runtime.settings
        assistant = Assistant(settings.llm) if settings.llm.base_url else None
        self._rewriter = Rewriter(assistant)
        self._budget = Budget(settings.chat, settings.generation.context_tokens, Summarizer(assistant))

    def sessions(self, executor: Executor, observe: Callable[[Finished], None]) -> Conversations:
        """Sessions whose answers are made by ``executor``; ``observe`` is told each."""
        runtime = self._runtime

        def ask(scope: Scope, question: str, history: Sequence[Message]) -> Iterator[AnswerEvent]:
            for event in runtime.ask_streaming(scope, question, cache=True, history=history):
                if isinstance(event, Finished):
                    observe(event)
                yield event

        def mask(text: str) -> str:
            return runtime.masker.mask(text).text

        history = History(runtime.keyvalue, runtime.settings.chat)
        return Conversations(history, self._budget, self._rewriter, ask, mask, runtime.tracer, executor)

    def understand(self, question: str, said: Sequence[ChatMessage]) -> Understood:
        """A question by what was said before it, where the client keeps the conversation."""
        if not said:
            return Understood(question, (), ())
        rewritten = self._rewriter.rewrite(question, turns_after(said, None))
        fitted = self._budget.fit(said, None, rewritten.question)
        return Understood(rewritten.question, fitted.messages, (*rewritten.degradations, *fitted.degradations))
