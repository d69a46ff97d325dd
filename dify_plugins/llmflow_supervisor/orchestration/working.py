"""The node that works on a step: one round of asking the model and calling the tools it wants."""

from __future__ import annotations

import json
import re
from typing import Any

from dify_plugin.entities.model.message import (
    AssistantPromptMessage,
    PromptMessage,
    ToolPromptMessage,
    UserPromptMessage,
)
from langgraph.runtime import Runtime

from orchestration.budget import cut, tokens
from orchestration.errors import CallRefusedError
from orchestration.journal import Entry, Journal
from orchestration.model import Call, Reply
from orchestration.outcome import Outcome, read
from orchestration.passages import listing
from orchestration.reading import objects_in
from orchestration.run import Finding, Note, Run, State

_MOST_CALLS = 8
"""Of one round."""
_SHARE = 4
"""A tool's result takes at most one of so many parts of the prompt; all of a round, at most half of it."""
_LONGEST_NAME = 64
_BEGUN_CALL = re.compile(r'\{\s*"tool"\s*:\s*"([^"]*)"')


def work(state: State, runtime: Runtime[Run]) -> dict[str, Any]:
    """One round: the model calls tools, or notes what the step has found out and so ends it."""
    run, journal = runtime.context, Journal(runtime.stream_writer)
    step = state["steps"][state["position"]]
    number = state["rounds"] + state["position"] + 1
    native = run.model.calls_tools
    with journal.entry(run.words.round.format(number=number), data={"step": step}) as entry:
        system = run.prompts.work(() if native else run.tools.prompts)
        reply = run.ask(journal, entry, system, state["conversation"], with_tools=native)
        calls = reply.calls if native else _calls_in(reply.text)
        entry.data["calls"] = [call.name for call in calls]
        if not calls:
            entry.data["note"] = reply.text
            return _closed(run, state, reply)
        if state["rounds"] >= run.maximum_rounds:
            entry.data["note"] = run.words.limit_log.format(limit=run.maximum_rounds)
            return {"limited": True}
        results: list[str] = []
        findings = list(state["findings"])
        made = calls[:_MOST_CALLS]
        room = run.model.room // max(_SHARE, 2 * len(made))
        for call in made:
            outcome, shown = _call(run, journal, entry, call, room)
            results.append(shown)
            if outcome.text:
                findings.append(Finding(call.name, outcome.text))
            for file in outcome.files:
                runtime.stream_writer(file)
        results += [run.words.too_many_calls.format(limit=_MOST_CALLS)] * (len(calls) - len(results))
    told = _told_natively(reply, results) if native else _told_in_text(run, reply, calls, results)
    return {
        "conversation": [*state["conversation"], *told],
        "findings": findings,
        "rounds": state["rounds"] + 1,
    }


def _closed(run: Run, state: State, reply: Reply) -> dict[str, Any]:
    """The step is done; the conversation goes on to the next one."""
    text = reply.text or run.words.nothing_noted
    position = state["position"] + 1
    conversation = [*state["conversation"], AssistantPromptMessage(content=text)]
    if position < len(state["steps"]):
        conversation.append(UserPromptMessage(content=run.words.next_step.format(step=state["steps"][position])))
    note = Note(state["steps"][state["position"]], text)
    return {"conversation": conversation, "position": position, "notes": [*state["notes"], note]}


def _call(run: Run, journal: Journal, parent: Entry, call: Call, room: int) -> tuple[Outcome, str]:
    """Call a tool, as a line of the log: its outcome, and what of it fits into ``room`` tokens."""
    label = run.words.tool.format(tool=call.name[:_LONGEST_NAME])
    data = {"arguments": call.arguments}
    with journal.entry(label, parent, provider=run.tools.provider(call.name), data=data) as entry:
        try:
            prepared = run.tools.prepare(call)
            entry.data = {"arguments": prepared.arguments}
            outcome = read(run.tools.invoke(prepared), run.passages)
        except CallRefusedError as refusal:
            entry.error = str(refusal)
            return Outcome(), str(refusal)
        shown = _shown(run, outcome, room)
        if prepared.ignored:
            shown += f"\n{run.words.ignored_arguments.format(names=', '.join(prepared.ignored))}"
        entry.data |= {"result": shown, "passages": [passage.number for passage in outcome.passages]}
        if outcome.degradations:
            entry.data["degradations"] = outcome.degradations
            run.degradations += [each for each in outcome.degradations if each not in run.degradations]
        return outcome, shown


def _shown(run: Run, outcome: Outcome, room: int) -> str:
    """An outcome as the model reads it."""
    text = cut(outcome.text, room // 2 if outcome.passages else room, run.words)
    passages, _ = listing(outcome.passages, room - tokens(text), run.words)
    return "\n\n".join(filter(None, (text, passages))) or run.words.no_result


def _told_natively(reply: Reply, results: list[str]) -> list[PromptMessage]:
    calls = [call.as_message for call in reply.calls]
    answers = [
        ToolPromptMessage(content=result, tool_call_id=call.id, name=call.name)
        for call, result in zip(reply.calls, results, strict=True)
    ]
    return [AssistantPromptMessage(content=reply.text, tool_calls=calls), *answers]


def _told_in_text(run: Run, reply: Reply, calls: list[Call], results: list[str]) -> list[PromptMessage]:
    answers = [
        run.words.result_of.format(name=call.name, result=result) for call, result in zip(calls, results, strict=True)
    ]
    return [AssistantPromptMessage(content=reply.text), UserPromptMessage(content="\n\n".join(answers))]


def _calls_in(text: str) -> list[Call]:
    """Calls that a model without tool calls wrote as JSON; one that is not quite JSON counts, to be told so."""
    found = [each for each in objects_in(text) if isinstance(each.get("tool"), str)]
    if not found and (begun := _BEGUN_CALL.search(text)):
        return [Call("1", begun[1], text[begun.start() :])]
    return [
        Call(str(number), each["tool"], _written(each.get("arguments") or {}))
        for number, each in enumerate(found, start=1)
    ]


def _written(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
