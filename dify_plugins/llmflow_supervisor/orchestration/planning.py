"""Nodes that decide on steps: the plan before the work, the review after it."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from orchestration.budget import cut
from orchestration.journal import Journal
from orchestration.material import material_of
from orchestration.reading import objects_in
from orchestration.run import Run, State

_MOST_STEPS = 5
_LONGEST_STEP = 500
"""Tokens of a question that is its own step; the step stands beside the question."""


def plan(state: State, runtime: Runtime[Run]) -> dict[str, Any]:
    """Let the model split the question into steps; one step where its plan cannot be read."""
    run, journal = runtime.context, Journal(runtime.stream_writer)
    most = _most_steps(run)
    with journal.entry(run.words.plan) as entry:
        system = run.prompts.plan(run.tools.prompts, most)
        reply = run.ask(journal, entry, system, [run.prompts.question(run.question)])
        steps = _steps_in(reply.text, most)
        readable = bool(steps)
        steps = steps or [cut(run.question, _LONGEST_STEP, run.words)]
        entry.data = {
            "steps": steps,
            "tool_calling": run.words.native if run.model.calls_tools else run.words.as_text,
        }
        if not readable:
            entry.data["note"] = run.words.one_step
    return {"steps": steps, "conversation": [run.prompts.task(run.question, steps)]}


def review(state: State, runtime: Runtime[Run]) -> dict[str, Any]:
    """Let the model judge what was found; it may add steps, once in a run."""
    run, journal = runtime.context, Journal(runtime.stream_writer)
    most = _most_steps(run)
    with journal.entry(run.words.review) as entry:
        material, _ = material_of(run, state)
        system = run.prompts.review(run.tools.prompts, most)
        reply = run.ask(journal, entry, system, [run.prompts.material(run.question, material)])
        verdict = next((each for each in objects_in(reply.text) if "enough" in each), None)
        steps = [] if verdict is None or verdict["enough"] is True else _steps_in(reply.text, most)
        entry.data = {"enough": verdict["enough"] if verdict else None, "steps": steps}
        if verdict is None:
            entry.data["note"] = run.words.unreadable_review
    conversation = list(state["conversation"])
    if steps:
        conversation.append(run.prompts.question(run.words.next_step.format(step=steps[0])))
    return {"steps": [*state["steps"], *steps], "conversation": conversation, "replanned": True}


def _most_steps(run: Run) -> int:
    return min(_MOST_STEPS, run.maximum_rounds)


def _steps_in(text: str, most: int) -> list[str]:
    """The steps of the first ``{"steps": [...]}``, at most so many."""
    steps: list[Any] = next((each["steps"] for each in objects_in(text) if isinstance(each.get("steps"), list)), [])
    return [step.strip() for step in steps if isinstance(step, str) and step.strip()][:most]
