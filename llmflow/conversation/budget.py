"""What of a session the model is shown: the latest turns whole, the older ones summarised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from llmflow import korean
from llmflow.conversation.history import Summary
from llmflow.conversation.messages import ChatMessage
from llmflow.conversation.summary import Summarizer
from llmflow.errors import ConfigurationError
from llmflow.generation.prompt import rules_tokens
from llmflow.models.llm import Message
from llmflow.schema import Degradation
from llmflow.settings import ChatSettings

_KEPT = 0.75
"""Share of the budget kept after a cut, so that not every question cuts again."""
_MESSAGE_TOKENS = 6
"""What a chat template adds to a message."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question with its answer."""

    question: ChatMessage
    answer: ChatMessage

    @property
    def tokens(self) -> int:
        """What the turn takes of the window."""
        return self.question.tokens + self.answer.tokens + 2 * _MESSAGE_TOKENS


@dataclass(frozen=True, slots=True)
class Fitted:
    """``messages`` fit into the window; ``summary`` is new if something had to be cut."""

    messages: tuple[Message, ...] = ()
    summary: Summary | None = None
    degradations: tuple[Degradation, ...] = ()


class Budget:
    """Divides the model's window: system prompt with summary, answer, passages and question, history.

    Args:
        context_tokens: passages that come with a question.

    Raises:
        ConfigurationError: nothing would be left for the history, or for a summary.
    """

    def __init__(self, settings: ChatSettings, context_tokens: int, summarizer: Summarizer) -> None:
        self._summarizer = summarizer
        self._max_turns = settings.max_messages // 2 - 1
        self._summary_tokens = settings.system_tokens - rules_tokens()
        self._tokens = settings.window_tokens - settings.system_tokens - settings.answer_tokens - context_tokens
        if self._tokens <= 0:
            raise ConfigurationError(
                f"chat.window_tokens={settings.window_tokens} holds no history beside chat.system_tokens="
                f"{settings.system_tokens}, chat.answer_tokens={settings.answer_tokens} and"
                f" generation.context_tokens={context_tokens}; raise the window or lower the others",
                param="chat.window_tokens",
            )
        if self._summary_tokens <= 0:
            raise ConfigurationError(
                f"chat.system_tokens={settings.system_tokens} leaves no room for a summary beside the rules;"
                f" allowed are more than {rules_tokens()}",
                param="chat.system_tokens",
            )

    def fit(self, messages: Sequence[ChatMessage], summary: Summary | None, question: str) -> Fitted:
        """The history for a question. Unanswered questions are left out.

        The oldest turns are summarised when the rest is over the budget, or about to fall out
        of the store.
        """
        turns = turns_after(messages, summary)
        budget = self._tokens - korean.count_tokens(question)
        degradations: tuple[Degradation, ...] = ()
        new = None
        if _tokens(turns) > budget or len(turns) > self._max_turns:
            kept = _latest(turns, int(budget * _KEPT), max(int(self._max_turns * _KEPT), 1))
            dropped, turns = turns[: len(turns) - kept], turns[len(turns) - kept :]
            text, degradations = self._summarizer.summarize(
                summary.text if summary else "",
                [(turn.question.question, turn.answer.content) for turn in dropped],
                self._summary_tokens,
            )
            summary = new = Summary(text, dropped[-1].answer.id)
        shown: list[Message] = [{"role": "system", "content": summary.text}] if summary else []
        for turn in turns:
            shown.append({"role": "user", "content": turn.question.question})
            shown.append({"role": "assistant", "content": turn.answer.content})
        return Fitted(tuple(shown), new, degradations)


def turns_after(messages: Sequence[ChatMessage], summary: Summary | None) -> list[Turn]:
    """Answered questions that the summary does not cover, oldest first."""
    ids = [message.id for message in messages]
    # A covered message may have left the store already; whatever is left came after it.
    start = ids.index(summary.until) + 1 if summary and summary.until in ids else 0
    later = messages[start:]
    return [
        Turn(question, answer)
        for question, answer in pairwise(later)
        if question.role == "user" and answer.role == "assistant"
    ]


def _latest(turns: Sequence[Turn], tokens: int, most: int) -> int:
    """How many of the latest turns fit."""
    kept = 0
    for turn in reversed(turns):
        tokens -= turn.tokens
        if tokens < 0 or kept == most:
            break
        kept += 1
    return kept


def _tokens(turns: Sequence[Turn]) -> int:
    return sum(turn.tokens for turn in turns)
