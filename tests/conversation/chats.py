"""What the chat tests share: people, a store, and answers made to measure."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path

from llmflow.conversation.assistant import Assistant
from llmflow.conversation.budget import Budget
from llmflow.conversation.history import History
from llmflow.conversation.rewrite import Rewriter
from llmflow.conversation.running import ChatEvent, Run
from llmflow.conversation.session import Ask, Conversations
from llmflow.conversation.summary import Summarizer
from llmflow.generation.answer import AnswerEvent, Finished, TextDelta
from llmflow.models.llm import Message
from llmflow.schema import Answer, Citation, Principal, Role, Scope
from llmflow.settings import ChatSettings, LLMSettings, TracingSettings
from llmflow.stores.keyvalue import KeyValueStore
from llmflow.tracing import Tracer

PRINCIPAL = Principal("key:a", Scope("회사", ("인사", "재무"), "key:a"), Role.READER)
CITATION = Citation(1, "c1", "d1", "휴가규정.pdf", 2, "연차휴가는 15일이다.", (0, 12))


def principal(
    tenant: str = "회사", departments: tuple[str, ...] = ("인사", "재무"), subject: str = "key:a"
) -> Principal:
    return Principal(subject, Scope(tenant, departments, subject), Role.READER)


class Answers:
    """An ``ask`` that says what it was asked, in pieces, and can be held up in the middle."""

    def __init__(self, pieces: Sequence[str] = ("하나 ", "둘 ", "셋")) -> None:
        self.calls: list[tuple[Scope, str, tuple[Message, ...]]] = []
        self.pieces = pieces
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.half_way = threading.Event()

    def __call__(self, scope: Scope, question: str, history: Sequence[Message]) -> Iterator[AnswerEvent]:
        self.calls.append((scope, question, tuple(history)))
        for number, piece in enumerate(self.pieces):
            if number == 1:
                self.half_way.set()
                assert self.may_go_on.wait(10)
            yield TextDelta(piece)
        yield Finished(Answer("".join(self.pieces), (CITATION,), "generative", trace_id="t1"))


def conversations(
    store: KeyValueStore,
    ask: Ask,
    executor: Executor,
    folder: Path,
    llm: LLMSettings | None = None,
    settings: ChatSettings | None = None,
) -> Conversations:
    settings = settings or ChatSettings()
    assistant = Assistant(llm) if llm else None
    return Conversations(
        History(store, settings),
        Budget(settings, 1500, Summarizer(assistant)),
        Rewriter(assistant),
        ask,
        lambda text: text.replace("010-1234-5678", "<PHONE>"),
        Tracer(TracingSettings(enabled=False), folder / "traces.db"),
        executor,
    )


async def all_events(run: Run, last_id: int = 0) -> list[ChatEvent]:
    return [event async for event in run.follow(last_id)]


def text_of(events: Sequence[ChatEvent]) -> str:
    return "".join(event.data["text"] for event in events if event.event == "delta")
