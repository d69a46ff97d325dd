"""Rules about the edges of a flow."""

from __future__ import annotations

from collections.abc import Iterator

from dify_plugins.tooling.validation.flow.flow import EDGES_AT, Flow, FlowNode
from dify_plugins.tooling.validation.flow.nodes import Answer, End, IfElse, IterationStart, QuestionClassifier, Start
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown

_SOURCE = "source"
_FAILED = "fail-branch"


def handles(node: FlowNode) -> list[str]:
    """The branches by which a node can be left."""
    match node.data:
        case End():
            return []
        case IfElse(cases=cases):
            return [*(case.case_id for case in cases), "false"]
        case QuestionClassifier(classes=classes):
            branches = [found.id for found in classes]
        case _:
            branches = [_SOURCE]
    return [*branches, _FAILED] if node.data.error_strategy == _FAILED else branches


def connect_nodes(flow: Flow) -> Iterator[Problem]:
    """Both ends are there, of the type the edge says, and in the same iteration."""
    for index, edge in enumerate(flow.edges):
        at = (*EDGES_AT, index)
        ends = {"source": edge.source, "target": edge.target}
        for key, found in ends.items():
            if found not in flow.by_id:
                what = f"edge {edge.id}: there is no node {shown(found)}"
                remedy = meant(found, flow.by_id, "name one of them")
                yield flow.document.problem((*at, key), what, allowed=listed(flow.by_id), remedy=remedy)
                continue
            said = getattr(edge.data, f"{key}Type") if edge.data else None
            if said not in {None, flow.by_id[found].type}:
                kind = flow.by_id[found].type
                what = f"edge {edge.id}: {key}Type is {shown(said)}, and node {found} is of the type {kind}"
                yield flow.document.problem((*at, "data", f"{key}Type"), what, remedy="write the node's type")
        known = [flow.by_id[found] for found in ends.values() if found in flow.by_id]
        if len({node.node.parentId for node in known}) > 1:
            what = f"edge {edge.id} goes into an iteration or out of it"
            yield flow.document.problem(at, what, remedy="connect the iteration itself")


def are_drawn_once(flow: Flow) -> Iterator[Problem]:
    """Two edges of one way are one too many."""
    seen: set[tuple[str, str, str]] = set()
    for index, edge in enumerate(flow.edges):
        way = (edge.source, edge.sourceHandle, edge.target)
        if way in seen:
            what = f"edge {edge.id}: another edge leads from {edge.source} to {edge.target} already"
            yield flow.document.problem((*EDGES_AT, index), what, remedy="remove one of the two")
        seen.add(way)


def leave_by_handles(flow: Flow) -> Iterator[Problem]:
    """An edge leaves a node by a branch that the node has."""
    for index, edge in enumerate(flow.edges):
        if edge.source in flow.by_id:
            known = handles(flow.by_id[edge.source])
            if edge.sourceHandle not in known:
                what = f"edge {edge.id}: node {edge.source} has no branch {shown(edge.sourceHandle)}"
                remedy = meant(edge.sourceHandle, known, "name one of them")
                loc = (*EDGES_AT, index, "sourceHandle")
                yield flow.document.problem(loc, what, allowed=listed(known), remedy=remedy)


def run_in_no_circle(flow: Flow) -> Iterator[Problem]:
    """What comes after a node does not come before it."""
    for index, edge in enumerate(flow.edges):
        if edge.target in {edge.source, *flow.upstream(edge.source)}:
            what = f"edge {edge.id} closes a circle: {edge.target} comes before {edge.source}"
            yield flow.document.problem((*EDGES_AT, index), what, remedy="remove an edge of it, or use an iteration")


def reach_every_node(flow: Flow) -> Iterator[Problem]:
    """What no run reaches is a mistake."""
    starts = [node for node in flow.nodes if isinstance(node.data, Start | IterationStart)]
    for node in flow.nodes:
        begin = {start.id for start in starts if start.node.parentId == node.node.parentId}
        if not begin & {node.id, *flow.upstream(node.id)}:
            what = f"node {node.id} is never reached from the start"
            yield flow.document.problem((*node.at, "id"), what, remedy="add an edge to it, or remove it")


def leave_no_dead_end(flow: Flow) -> Iterator[Problem]:
    """Every branch leads on, except at the end of the flow and inside an iteration."""
    used = {(edge.source, edge.sourceHandle) for edge in flow.edges}
    for node in flow.nodes:
        if isinstance(node.data, Answer | End) or node.node.parentId:
            continue
        for handle in handles(node):
            if (node.id, handle) not in used:
                what = f"node {node.id}: the branch {shown(handle)} leads nowhere"
                yield flow.document.problem((*node.at, "id"), what, remedy="add an edge from it")
