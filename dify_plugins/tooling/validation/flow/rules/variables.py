"""Rules about the variables that nodes name."""

from __future__ import annotations

from collections.abc import Iterator

from dify_plugins.tooling.validation.flow.flow import Flow, FlowNode
from dify_plugins.tooling.validation.flow.nodes import Iteration, Llm
from dify_plugins.tooling.validation.flow.outputs import SYSTEM, SYSTEM_OF_CHAT, outputs
from dify_plugins.tooling.validation.flow.references import NAMEABLE, Reference, references
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown

_PLACEHOLDERS = ("context", "histories")
"""What a prompt may name beside variables."""
_ITEM = {"item", "index"}


def are_given_upstream(flow: Flow) -> Iterator[Problem]:
    """A variable is one that an earlier node gives, or that Dify or the app has."""
    for node in flow.nodes:
        for reference in references(flow.data(node), (*node.at, "data")):
            if isinstance(node.data, Llm) and ".".join(reference.selector) in _PLACEHOLDERS:
                continue
            yield from _given(flow, node, reference)


def _given(flow: Flow, node: FlowNode, reference: Reference) -> Iterator[Problem]:
    name = ".".join(reference.selector)
    if reference.in_template and not NAMEABLE.fullmatch(name):
        what = f"node {node.id}: Dify does not take {shown('{{#' + name + '#}}')} for a variable"
        allowed = "a node, a dot, and a variable of up to 30 letters, digits and _"
        yield flow.document.problem(reference.at, what, allowed=allowed, remedy="correct it")
    elif len(reference.selector) < 2:
        what = f"node {node.id}: {shown(name)} names no variable"
        yield flow.document.problem(reference.at, what, allowed="a node and its variable", remedy="add the variable")
    else:
        yield from _known(flow, node, reference)


def _known(flow: Flow, node: FlowNode, reference: Reference) -> Iterator[Problem]:
    owner, variable = reference.selector[:2]
    given = _of_the_app(flow).get(owner)
    if given is None:
        earlier = flow.upstream(node.id)
        inside = {child.id for child in flow.nodes if child.node.parentId == node.id}
        if owner not in flow.by_id or (owner not in earlier | inside):
            allowed = {*earlier, *inside, *_of_the_app(flow)}
            why = "runs before it" if owner in flow.by_id else "is there"
            what = (
                f"node {node.id}: {shown('.'.join(reference.selector))} names the node {owner}, but no such node {why}"
            )
            remedy = meant(owner, allowed, "name one of them")
            yield flow.document.problem(reference.at, what, allowed=listed(allowed), remedy=remedy)
            return
        given = _of_a_node(flow, node, flow.by_id[owner])
    if given is not None and variable not in given:
        what = f"node {node.id}: {owner} has no variable {shown(variable)}"
        remedy = meant(variable, given, "name one of them")
        yield flow.document.problem(reference.at, what, allowed=listed(given), remedy=remedy)


def _of_the_app(flow: Flow) -> dict[str, set[str]]:
    workflow = flow.app.workflow
    return {
        "sys": SYSTEM_OF_CHAT if flow.app.app.mode == "advanced-chat" else SYSTEM,
        "env": {variable.name for variable in workflow.environment_variables},
        "conversation": {variable.name for variable in workflow.conversation_variables},
    }


def _of_a_node(flow: Flow, node: FlowNode, owner: FlowNode) -> set[str] | None:
    if isinstance(owner.data, Iteration) and node.node.parentId == owner.id:
        return _ITEM
    return outputs(owner, flow.catalogue)
