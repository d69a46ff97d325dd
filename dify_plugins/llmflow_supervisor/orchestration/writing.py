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
        notices = _notices(run, state, len(shown))
        answer = AnswerStream(shown, thinking=run.thinks_unasked)
        begun = False

        def show(text: str) -> None:
            nonlocal begun
            if text and not begun:
                _say(send, "".join(f"{notice}\n\n" for notice in notices))
                begun = True
            _say(send, text)

        question = run.prompts.material(run.question, material)
        system = run.prompts.write()
        try:
            reply = run.ask(journal, entry, system, [question], on_text=lambda piece: show(answer.feed(piece)))
        except InvokeServerUnavailableError as error:
            show(answer.close())
            if begun:  # the user sees half an answer, and no error of the node after it
                _say(send, f"\n\n{error}")
            raise
        show(answer.close())
        entry.data = {"cited": sorted(answer.cited), "citations_without_passage": answer.dropped, "notices": notices}
        if not begun:
            raise InvokeServerUnavailableError(run.words.empty_answer.format(model=run.model.name))
        if reply.finish_reason == "length" or answer.unfinished:
            notices.append(run.words.cut_off if reply.finish_reason == "length" else run.words.unfinished_thoughts)
            _say(send, f"\n\n{notices[-1]}")
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


def _notices(run: Run, state: State, shown: int) -> list[str]:
    """What has to be known about the answer before it.

    Args:
        shown: passages that it is written from.
    """
    notices = list(run.notices)
    if state["limited"]:
        notices.append(run.words.limit.format(limit=run.maximum_rounds))
    if left_out := len(run.passages) - shown:
        notices.append(run.words.passages_left_out.format(count=left_out))
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
