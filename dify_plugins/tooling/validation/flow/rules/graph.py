"""Rules about the nodes of a flow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dify_plugins.tooling.validation.document import Loc
from dify_plugins.tooling.validation.flow.flow import EDGES_AT, NODES_AT, Flow, FlowNode
from dify_plugins.tooling.validation.flow.nodes import Answer, End, Iteration, IterationStart, Start
from dify_plugins.tooling.validation.problem import Problem, listed, shown


def ids_are_unique(flow: Flow) -> Iterator[Problem]:
    """Nodes, edges and branches are found by their ids."""
    for at, ids in (
        (NODES_AT, [node.id for node in flow.app.workflow.graph.nodes]),
        (EDGES_AT, [edge.id for edge in flow.edges]),
    ):
        counts = Counter(ids)
        for index, found in enumerate(ids):
            if counts[found] > 1:
                what = f"the id {shown(found)} is given {counts[found]} times"
                yield flow.document.problem((*at, index, "id"), what, remedy="give each an id of its own")


def begins_once(flow: Flow) -> Iterator[Problem]:
    """A run begins at the one start node."""
    starts = flow.of(Start)
    if not starts:
        yield flow.document.problem(NODES_AT, "there is no start node", remedy="add one")
    for node, _ in starts[1:]:
        yield flow.document.problem((*node.at, "id"), f"node {node.id} is a second start node", remedy="keep one")


def ends_as_its_mode_asks(flow: Flow) -> Iterator[Problem]:
    """A workflow gives values at end nodes, a chat speaks at answer nodes."""
    mode = flow.app.app.mode
    wanted, unwanted = (End, Answer) if mode == "workflow" else (Answer, End)
    words = {End: "end", Answer: "answer"}
    if not flow.of(wanted):
        yield flow.document.problem(("app", "mode"), f"{mode}, and no {words[wanted]} node", remedy="add one")
    for node, _ in flow.of(unwanted):
        what = f"node {node.id} is an {words[unwanted]} node, and the mode is {mode}"
        yield flow.document.problem((*node.at, "data", "type"), what, remedy=f"make it an {words[wanted]} node")


def iterations_hold_their_nodes(flow: Flow) -> Iterator[Problem]:
    """A node inside an iteration names it, and each iteration begins at a node inside it."""
    iterations = {node.id for node, _ in flow.of(Iteration)}
    for node in flow.nodes:
        parent = node.node.parentId
        if parent is not None and parent not in iterations:
            what = f"node {node.id}: parentId is {shown(parent)}, which is no iteration"
            yield flow.document.problem((*node.at, "parentId"), what, allowed=listed(iterations), remedy="correct it")
        if node.data.iteration_id not in {None, parent}:
            what = f"node {node.id}: iteration_id is {shown(node.data.iteration_id)}, parentId is {shown(parent)}"
            yield flow.document.problem((*node.at, "data", "iteration_id"), what, remedy="write the same in both")
    for node, iteration in flow.of(Iteration):
        starts = {start.id for start, _ in flow.of(IterationStart) if start.node.parentId == node.id}
        if iteration.start_node_id not in starts:
            what = f"node {node.id}: start_node_id is {shown(iteration.start_node_id)}, which is no start inside it"
            loc = (*node.at, "data", "start_node_id")
            yield flow.document.problem(loc, what, allowed=listed(starts), remedy="name an iteration-start node")


def inputs_and_outputs_are_sound(flow: Flow) -> Iterator[Problem]:
    """No name is given twice, and there is something to choose where a user chooses."""
    for node, start in flow.of(Start):
        at: Loc = (*node.at, "data", "variables")
        yield from _twice(flow, node, at, [variable.variable for variable in start.variables])
        for index, variable in enumerate(start.variables):
            if variable.type == "select" and not variable.options:
                what = f"node {node.id}: {variable.variable} is a select without options"
                yield flow.document.problem((*at, index, "type"), what, remedy="add options")
    for node, end in flow.of(End):
        at = (*node.at, "data", "outputs")
        yield from _twice(flow, node, at, [variable.variable for variable in end.outputs])
    for index, setting in enumerate(flow.app.workflow.environment_variables):
        if setting.value_type == "number" and isinstance(setting.value, str):
            what = f"the number {setting.name} is {shown(setting.value)}"
            loc = ("workflow", "environment_variables", index, "value")
            yield flow.document.problem(loc, what, allowed="a number", remedy="write a number without quotes")


def _twice(flow: Flow, node: FlowNode, at: Loc, names: list[str]) -> Iterator[Problem]:
    for index, name in enumerate(names):
        if name in names[:index]:
            what = f"node {node.id}: {shown(name)} stands here a second time"
            yield flow.document.problem((*at, index, "variable"), what, remedy="keep one of the two")
