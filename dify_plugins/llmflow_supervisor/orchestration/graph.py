"""The graph: plan, then rounds of work, then a review that may send back to work once, then the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from dify_plugin.entities.agent import AgentInvokeMessage
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from orchestration.planning import plan, review
from orchestration.run import Run, State
from orchestration.working import work
from orchestration.writing import write

_MOST_NODES = 200
"""Far above what the limits of rounds and steps let a run visit."""


def run_graph(run: Run) -> Iterator[AgentInvokeMessage]:
    """Answer a question; messages come as they are made.

    Raises:
        InvokeServerUnavailableError: the model could not be called, or had nothing to say; the log is closed.
    """
    state = State(
        steps=[],
        position=0,
        rounds=0,
        conversation=[],
        notes=[],
        findings=[],
        replanned=False,
        limited=False,
    )
    messages = _GRAPH.stream(state, {"recursion_limit": _MOST_NODES}, context=run, stream_mode="custom")
    yield from cast("Iterator[AgentInvokeMessage]", messages)


def _after_work(state: State, runtime: Runtime[Run]) -> str:
    if state["limited"]:
        return "write"
    if state["position"] < len(state["steps"]):
        return "work"
    # A single step that the model ended by itself needs no second opinion.
    reviewed = state["replanned"] or len(state["steps"]) == 1
    return "write" if reviewed or state["rounds"] >= runtime.context.maximum_rounds else "review"


def _after_review(state: State) -> str:
    return "work" if state["position"] < len(state["steps"]) else "write"


_builder = StateGraph(State, context_schema=Run)
for _node in (plan, work, review, write):
    _builder.add_node(_node.__name__, _node)
_builder.add_edge(START, "plan")
_builder.add_edge("plan", "work")
_builder.add_conditional_edges("work", _after_work, ["work", "review", "write"])
_builder.add_conditional_edges("review", _after_review, ["work", "write"])
_builder.add_edge("write", END)
_GRAPH: Final = _builder.compile()
