"""The node that writes the answer, with citations of passages that were found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dify_plugin.entities.agent import AgentInvokeMessage
from langgraph.runtime import Runtime

from orchestration.citations import AnswerStream
from orchestration.errors import InvokeServerUnavailableError
from orchestration.journal import Journal, Send
from orchestration.material import material_of
from orchestration.passages import Passage
from orchestration.run import Run, State

_LONGEST_RESOURCE = 4_000


def write(state: State, runtime: Runtime[Run]) -> dict[str, Any]:
    """Stream the answer, what had to be done without before it and its sources after it.

    Raises:
        InvokeServerUnavailableError: the model could not be called, or had nothing to say.
    """
    run, send = runtime.context, runtime.stream_writer
    journal = Journal(send)
    with journal.entry(run.words.answer) as entry:
        material, shown = material_of(run, state)
        notices = _notices(run, state)
        answer = AnswerStream(shown)
        begun = False

        def show(text: str) -> None:
            nonlocal begun
            if text and not begun:
                _say(send, "".join(f"{notice}\n\n" for notice in notices))
                begun = True
            _say(send, text)

        question = run.prompts.material(run.question, material)
        system = run.prompts.write()
        reply = run.ask(journal, entry, system, [question], on_text=lambda piece: show(answer.feed(piece)))
        show(answer.close())
        entry.data = {"cited": sorted(answer.cited), "citations_without_passage": answer.dropped, "notices": notices}
        if not begun:
            raise InvokeServerUnavailableError(run.words.empty_answer.format(model=run.model.name))
        if reply.finish_reason == "length":
            notices.append(run.words.cut_off)
            _say(send, f"\n\n{run.words.cut_off}")
        cited = [passage for passage in run.passages if passage.number in answer.cited]
        if cited:
            lines = [f"- [{passage.number}] {passage.title(run.words)}" for passage in cited]
            _say(send, f"\n\n**{run.words.sources}**\n" + "\n".join(lines))
            send(_resources(cited))
    run.summary = {
        "plan": state["steps"],
        "citations": [passage.fields for passage in cited],
        "notices": notices,
        "degradations": run.degradations,
    }
    return {}


def _notices(run: Run, state: State) -> list[str]:
    notices = [run.words.limit.format(limit=run.maximum_rounds)] if state["limited"] else []
    if run.tools.unusable:
        tools = ", ".join(f"{name} ({reason})" for name, reason in run.tools.unusable.items())
        notices.append(run.words.tools_failed.format(tools=tools))
    return notices


def _say(send: Send, text: str) -> None:
    if text:
        message = AgentInvokeMessage.TextMessage(text=text)
        send(AgentInvokeMessage(type=AgentInvokeMessage.MessageType.TEXT, message=message))


def _resources(passages: Sequence[Passage]) -> AgentInvokeMessage:
    """The passages as Dify's citations, under their numbers in the text."""
    resources = [
        passage.resource.model_copy(update={"content": passage.content[:_LONGEST_RESOURCE]}) for passage in passages
    ]
    return AgentInvokeMessage(
        type=AgentInvokeMessage.MessageType.RETRIEVER_RESOURCES,
        message=AgentInvokeMessage.RetrieverResourceMessage(
            retriever_resources=resources,
            context="\n\n".join(resource.content or "" for resource in resources),
        ),
    )
